package membership

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

func TestConfigValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		ok     bool
	}{
		"good":               {func(*Config) {}, true},
		"no id":              {func(c *Config) { c.Self = 0 }, false},
		"id past 12 bits":    {func(c *Config) { c.Self = 4096 }, false},
		"not among nodes":    {func(c *Config) { c.Self = 9 }, false},
		"no interval":        {func(c *Config) { c.Interval = 0 }, false},
		"threshold one":      {func(c *Config) { c.Threshold = 1 }, false},
		"a node twice":       {func(c *Config) { c.Nodes = append(c.Nodes, c.Nodes[0]) }, false},
		"two votes":          {func(c *Config) { c.Nodes[1].Votes = 2 }, false},
		"a node without id":  {func(c *Config) { c.Nodes[1].ID = 0 }, false},
		"nobody has a vote":  {func(c *Config) { c.Nodes[0].Votes, c.Nodes[1].Votes = 0, 0 }, true},
		"a cluster of alone": {func(c *Config) { c.Nodes = c.Nodes[:1] }, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(1, 2)
			tc.change(&cfg)
			if err := cfg.Validate(); (err == nil) != tc.ok {
				t.Errorf("Validate() = %v, want ok %t", err, tc.ok)
			}
			if _, err := New(cfg, nil, nil, 0); (err == nil) != tc.ok {
				t.Errorf("New() = %v, want ok %t", err, tc.ok)
			}
		})
	}
}

func TestReceiveRefuses(t *testing.T) {
	c := newCluster(t, 2).form()
	good := c.machines[2].lastMessage(c.now)
	for _, step := range []struct {
		name   string
		change func(*Message)
		want   error
	}{
		{"own id", func(m *Message) { m.From = 1 }, ErrOwnID},
		{"unknown", func(m *Message) { m.From = 7 }, ErrUnknownNode},
		{"old incarnation", func(m *Message) { m.Incarnation = 0 }, ErrOldIncarnation},
		{"replay", func(m *Message) { m.Sequence = 1 }, ErrOldSequence},
		{"new", func(*Message) {}, nil},
		{"duplicate", func(*Message) {}, ErrOldSequence},
	} {
		msg := good
		step.change(&msg)
		if err := c.machines[1].Receive(c.now, &msg); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
	}
}

func TestReporterIsTheLowestThatReachesTheAPI(t *testing.T) {
	c := newCluster(t, 3).form()
	for _, tc := range []struct {
		name    string
		reaches map[model.NodeID]bool
		want    model.NodeID
	}{
		{"none", nil, 0},
		{"all", map[model.NodeID]bool{1: true, 2: true, 3: true}, 1},
		{"not the coordinator", map[model.NodeID]bool{2: true, 3: true}, 2},
		{"one", map[model.NodeID]bool{3: true}, 3},
	} {
		for _, id := range c.order {
			c.machines[id].SetReachesAPI(tc.reaches[id], c.now)
		}
		c.exchange()
		for _, id := range c.order {
			if got := c.status(id).Reporter; got != tc.want {
				t.Errorf("%s: node %d says %d, want %d", tc.name, id, got, tc.want)
			}
		}
	}
}

// A39: a node without a configured vote is a member, and no voter.
func TestNodeWithoutVote(t *testing.T) {
	c := newCluster(t, 3)
	for _, id := range c.order {
		cfg := testConfig(id, 3)
		cfg.Nodes[1].Votes = 0
		if err := c.machines[id].SetConfig(cfg, c.now); err != nil {
			t.Fatal(err)
		}
	}
	c.form()
	if diff := cmp.Diff([]model.NodeID{1, 3}, c.status(1).Committed.Voters); diff != "" {
		t.Errorf("voters (-want +got):\n%s", diff)
	}
	if got := len(c.status(1).View.Members); got != 3 {
		t.Errorf("%d members, want 3", got)
	}
	if !c.status(2).Keeping {
		t.Error("the node without a vote does not keep")
	}
}

// A node that is added gets its vote from the others; one that is removed loses it, and is refused.
func TestNodesComeAndGo(t *testing.T) {
	c := newCluster(t, 2).form()
	joins, err := New(testConfig(3, 3), nil, nil, c.now)
	if err != nil {
		t.Fatal(err)
	}
	joins.SetReady(true, c.now)
	c.machines[3], c.order = joins, append(c.order, 3)
	for _, id := range c.order[:2] {
		if err := c.machines[id].SetConfig(testConfig(id, 3), c.now); err != nil {
			t.Fatal(err)
		}
	}
	c.run(2 * time.Second)
	if diff := cmp.Diff([]model.NodeID{1, 2, 3}, c.status(3).Committed.Voters); diff != "" {
		t.Fatalf("voters after joining (-want +got):\n%s", diff)
	}
	c.order = c.order[:2]
	for _, id := range c.order {
		if err := c.machines[id].SetConfig(testConfig(id, 2), c.now); err != nil {
			t.Fatal(err)
		}
	}
	msg := c.machines[3].lastMessage(c.now)
	if err := c.machines[1].Receive(c.now, &msg); !errors.Is(err, ErrUnknownNode) {
		t.Errorf("the removed node's message: %v", err)
	}
	c.run(2 * time.Second)
	if st := c.status(1); !st.Acting || len(st.View.Members) != 2 || len(st.Committed.Voters) != 2 || st.Self.Generation != 1 {
		t.Errorf("after the removal: acting %t view %v record %v", st.Acting, st.View, st.Committed)
	}
}

func TestFormRefuses(t *testing.T) {
	for name, r := range map[string]quorum.Record{
		"no voters": {Number: 1},
		"no number": {Voters: []model.NodeID{1}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := newCluster(t, 1).machines[1].Form(r, 0); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// A host that lost its disk and knows no floor finds out from its peers that its numbers were used, and goes past them.
func TestOutrunsAnEarlierLife(t *testing.T) {
	c := newCluster(t, 3).form()
	m, err := New(testConfig(2, 3), nil, nil, c.now)
	if err != nil {
		t.Fatal(err)
	}
	m.SetReady(true, c.now)
	m.Ready() // what it sends as its second first life is dropped as old
	c.machines[2] = m
	c.order = []model.NodeID{1, 3}
	msg := c.machines[1].lastMessage(c.now)
	if err := m.Receive(c.now, &msg); err != nil {
		t.Fatal(err)
	}
	if st := m.Status(c.now); st.Incarnation != 2 || st.Self.Generation <= 1 {
		t.Fatalf("incarnation %d generation %d", st.Incarnation, st.Self.Generation)
	}
	c.order = []model.NodeID{1, 2, 3}
	c.run(3 * time.Second)
	if st := c.status(2); !st.Acting || len(st.View.Members) != 3 || st.Committed == nil {
		t.Errorf("not back: %+v", st)
	}
}

func TestVolatileSurvivesItsEncoding(t *testing.T) {
	c := newCluster(t, 3).form()
	c.machines[1].changed = true
	c.machines[1].Tick(c.now)
	rd := c.machines[1].Ready()
	raw, err := json.Marshal(rd.Volatile)
	if err != nil {
		t.Fatal(err)
	}
	got := new(Volatile)
	if err := json.Unmarshal(raw, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rd.Volatile.Said, got.Said); diff != "" || len(got.Said.Views) != 1 || len(got.Said.Records) != 1 {
		t.Errorf("what peers say (-want +got):\n%s\nin %s", diff, raw)
	}
	got.unpack()
	for i := range got.Peers {
		got.Peers[i].Places = [4]int{}
	}
	if diff := cmp.Diff(c.machines[1].v.clone(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A file that names what it does not have is no reason to fail: the peer is taken to have said nothing.
func TestVolatileWithPlacesThatAreNone(t *testing.T) {
	v := Volatile{Said: &said{Views: []*View{{}}}, Peers: []Peer{{ID: 2, Places: [4]int{2, -1, 7, 1}}}}
	v.unpack()
	if p := v.Peers[0]; p.View != nil || p.Proposal != nil || p.Committed != nil || p.Tentative != nil {
		t.Errorf("%+v", p)
	}
}
