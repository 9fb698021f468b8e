package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/runstate"
)

// LocalStatus is what `quorate-agent status` shows: how the node stands as its agent last wrote it into the run directory, and the
// lease as it is now.
type LocalStatus struct {
	Node      string    `json:"node"`
	Cluster   string    `json:"cluster"`
	ClusterID string    `json:"clusterID,omitempty"`
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	Written   time.Time `json:"written"`
	// NodeID is 0 while the node is not enrolled.
	NodeID      model.NodeID     `json:"nodeID"`
	Generation  model.Generation `json:"generation"`
	Incarnation uint64           `json:"incarnation"`
	Ready       bool             `json:"ready"`
	View        string           `json:"view,omitempty"`
	Members     []string         `json:"members,omitempty"`
	// Acting allows to start things, Keeping to go on with them (rule R7).
	Acting     bool   `json:"acting"`
	Keeping    bool   `json:"keeping"`
	ReachesAPI bool   `json:"reachesAPI"`
	Reporter   string `json:"reporter,omitempty"`
	// Journal tells of what is decided without the API server; empty while this node goes by the API server.
	Journal string `json:"journal,omitempty"`
	// Decided is the end of that journal: what the API server does not have yet.
	Decided []LocalDecision `json:"decided,omitempty"`
	Record  string          `json:"record"`
	// LeaseLeft is how long the lease still runs; filled by the reader.
	LeaseLeft string               `json:"leaseLeft,omitempty"`
	Guards    v1alpha1.AgentGuards `json:"guards"`
	// Keys are the ids of the heartbeat keys that are accepted, newest first; two during a rotation.
	Keys      []string                  `json:"heartbeatKeys,omitempty"`
	Peers     []LocalPeer               `json:"peers,omitempty"`
	Links     []LocalLink               `json:"links,omitempty"`
	Groups    []LocalGroup              `json:"groups,omitempty"`
	Problems  []v1alpha1.AgentProblem   `json:"problems,omitempty"`
	Heartbeat map[string]uint64         `json:"heartbeat,omitempty"`
	Disks     []v1alpha1.AgentDisk      `json:"disks,omitempty"`
	Networks  []v1alpha1.AgentInterface `json:"interfaces,omitempty"`
}

// LocalGroup is one group on this host.
type LocalGroup struct {
	Group     string            `json:"group"`
	Epoch     model.Epoch       `json:"epoch"`
	State     model.GroupState  `json:"state"`
	Resources map[string]string `json:"resources"`
}

// ErrNoStatus says that no agent has run since boot.
var ErrNoStatus = errors.New("no agent has run on this host since boot")

// ReadLocalStatus reads what the agent of the run directory last wrote.
func ReadLocalStatus(runDir string) (*LocalStatus, error) {
	s, err := readJSON[LocalStatus](filepath.Join(runDir, statusFile))
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, ErrNoStatus
	}
	lease, err := runstate.ReadLease(runDir)
	if err != nil && !errors.Is(err, runstate.ErrNoLease) {
		return nil, err
	}
	if left := lease.KeepingUntil - runstate.BootTime(); left > 0 {
		s.LeaseLeft = left.Round(time.Millisecond).String()
	} else {
		s.Acting, s.Keeping = false, false
	}
	return s, nil
}

// localStatus turns an observation into what is written.
func localStatus(o *observed, node, cluster string, pid int) *LocalStatus {
	s := o.standing
	out := &LocalStatus{
		Node: node, Cluster: cluster, Version: o.version, PID: pid, Written: time.Now().Truncate(time.Millisecond),
		NodeID: s.Self.ID, Generation: s.Self.Generation, Incarnation: s.Incarnation, Ready: s.Ready, Acting: s.Acting,
		Keeping: s.Keeping, ReachesAPI: s.ReachesAPI, Record: s.Committed.String(), Guards: o.guards, Problems: o.problems,
		Keys: keysOf(s), Peers: localPeers(s), Links: localLinks(s), Disks: disksOf(o), Networks: o.interfaces,
		Heartbeat: map[string]uint64{
			"sent": s.Heartbeat.Sent, "received": s.Heartbeat.Received, "sendErrors": s.Heartbeat.SendErrors,
			"sentBytes": s.Heartbeat.SentBytes, "receivedBytes": s.Heartbeat.ReceivedBytes,
		},
	}
	for _, d := range s.Heartbeat.Drops {
		out.Heartbeat["dropped"+d.Reason] = d.Count
	}
	if o.orders != nil {
		out.Journal, out.Decided = o.orders.session, o.orders.decided
	}
	if s.Settings != nil {
		out.ClusterID, out.Reporter = s.Settings.ClusterID, s.Settings.nodeName(s.Reporter)
	}
	if s.View != nil {
		out.View = s.View.ID.String()
		for _, m := range s.View.Members {
			out.Members = append(out.Members, fmt.Sprintf("%s (%s)", s.Settings.nodeName(m.ID), m))
		}
	}
	for _, r := range o.reports {
		g := LocalGroup{Group: r.Group.String(), Epoch: r.Running, State: r.State, Resources: map[string]string{}}
		for _, resource := range r.Resources {
			text := string(resource.State)
			if resource.Message != "" {
				text += ": " + resource.Message
			}
			g.Resources[resource.Name] = text
		}
		out.Groups = append(out.Groups, g)
	}
	return out
}

// figuresInterval is how old the figures of links in the local status may be.
const figuresInterval = 2 * time.Second

// noteLocally writes the local status when something has changed, at most a few times a second, and now and then for the figures.
func (a *agent) noteLocally(ctx context.Context) {
	path := filepath.Join(a.files.runDir, statusFile)
	for {
		if err := writeFast(path, localStatus(a.observe(), a.opts.Node, a.opts.Cluster, a.pid)); err != nil {
			a.log.Error(err, "The local status is not written")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
		select {
		case <-ctx.Done():
			return
		case <-a.noted:
		case <-time.After(figuresInterval):
		}
	}
}
