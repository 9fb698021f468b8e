package inventory

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/quorate/quorate/api/v1alpha1"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func renewal(at time.Time) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "quorate-system", Name: "demo-reporter"},
		Spec:       coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: at}},
	}
}

func published(node string, number int64, clusterID string) *v1alpha1.Node {
	return &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: v1alpha1.NodeSpec{ClusterName: "demo"},
		Status: v1alpha1.NodeStatus{Agent: &v1alpha1.AgentStatus{ClusterID: clusterID, View: &v1alpha1.AgentView{ID: v1alpha1.ViewID{Number: number}, Quorate: true}}},
	}
}

func TestFreshness(t *testing.T) {
	skew := time.Hour // the reporter's clock is an hour behind ours
	cases := map[string]struct {
		see  func(*Signs, *clocktesting.FakeClock)
		want bool
	}{
		"nothing seen": {see: func(*Signs, *clocktesting.FakeClock) {}},
		"a lease renewed just now": {want: true, see: func(s *Signs, _ *clocktesting.FakeClock) {
			s.ObserveLease(renewal(start))
		}},
		"an old lease, seen for the first time": {see: func(s *Signs, _ *clocktesting.FakeClock) {
			s.ObserveLease(renewal(start.Add(-time.Minute)))
		}},
		"an old lease that is then renewed, whatever its clock": {want: true, see: func(s *Signs, _ *clocktesting.FakeClock) {
			s.ObserveLease(renewal(start.Add(-skew)))
			s.ObserveLease(renewal(start.Add(-skew + 2*time.Second)))
		}},
		"the same renewal again is no sign": {see: func(s *Signs, c *clocktesting.FakeClock) {
			s.ObserveLease(renewal(start))
			c.Step(MaxSilence)
			s.ObserveLease(renewal(start))
		}},
		"silence": {see: func(s *Signs, c *clocktesting.FakeClock) {
			s.ObserveLease(renewal(start))
			c.Step(MaxSilence)
		}},
		"a new view ends the silence": {want: true, see: func(s *Signs, c *clocktesting.FakeClock) {
			s.ObserveLease(renewal(start))
			s.ObserveNode(published("node-b", 1, "id"))
			c.Step(MaxSilence)
			s.ObserveNode(published("node-b", 2, "id"))
		}},
		"an old view of a node seen for the first time": {see: func(s *Signs, _ *clocktesting.FakeClock) {
			s.ObserveNode(published("node-b", 7, "id"))
		}},
		"a lease of another namespace": {see: func(s *Signs, _ *clocktesting.FakeClock) {
			l := renewal(start)
			l.Namespace = "default"
			s.ObserveLease(l)
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(start)
			s := NewSigns("quorate-system", c)
			tc.see(s, c)
			if got := s.Fresh("demo"); got != tc.want {
				t.Errorf("fresh: got %v, want %v", got, tc.want)
			}
		})
	}
}

// TestHighestView: a view that goes back is remembered as higher once, unless the cluster was formed anew.
func TestHighestView(t *testing.T) {
	s := NewSigns("quorate-system", clocktesting.NewFakeClock(start))
	for _, step := range []struct {
		number int64
		id     string
		want   uint64
	}{{7, "one", 7}, {9, "one", 9}, {3, "one", 9}, {1, "two", 1}, {2, "two", 2}} {
		s.ObserveNode(published("node-a", step.number, step.id))
		if got := s.HighestView("demo"); got != step.want {
			t.Errorf("after view %d of %s: got %d, want %d", step.number, step.id, got, step.want)
		}
	}
}

// TestSilenceIsToldOnce: listeners hear of each change, and of nothing else.
func TestSilenceIsToldOnce(t *testing.T) {
	c := clocktesting.NewFakeClock(start)
	s := NewSigns("quorate-system", c)
	told := 0
	s.Subscribe(func(string) { told++ })
	s.ObserveLease(renewal(start))
	for i := range 3 {
		c.Step(2 * time.Second)
		s.ObserveLease(renewal(start.Add(time.Duration(i+1) * 2 * time.Second)))
	}
	if told != 1 {
		t.Fatalf("told %d times, want once: the reporter is heard for the first time", told)
	}
	c.Step(MaxSilence)
	for range 3 {
		s.mu.Lock()
		s.notify("demo")
	}
	s.ObserveLease(renewal(start.Add(time.Hour)))
	if told != 3 {
		t.Errorf("told %d times, want once more of the silence and once of its end", told)
	}
}
