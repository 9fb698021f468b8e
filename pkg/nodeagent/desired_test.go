package nodeagent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
)

// at is a standing of node 1, generation 3, in a view.
func at(view uint64, acting bool) *standing {
	s := &standing{Status: membership.Status{
		Self: model.Member{ID: 1, Generation: 3}, Acting: acting, Keeping: true,
		View: &membership.View{ID: model.ViewID{Number: view, Coordinator: 1}, Members: []model.Member{{ID: 1, Generation: 3}, {ID: 2, Generation: 1}}},
	}}
	if view == 0 {
		s.View = nil
	}
	return s
}

func TestJudge(t *testing.T) {
	mine := v1alpha1.Assignment{Node: "node-a", NodeID: 1, Generation: 3, Epoch: 5, ViewID: v1alpha1.ViewID{Number: 7}}
	others := v1alpha1.Assignment{Node: "node-b", NodeID: 2, Generation: 1, Epoch: 5, ViewID: v1alpha1.ViewID{Number: 7}}
	withdrawn := v1alpha1.Assignment{Epoch: 5, ViewID: v1alpha1.ViewID{Number: 7}}
	with := func(a v1alpha1.Assignment, change func(*v1alpha1.Assignment)) *v1alpha1.Assignment {
		change(&a)
		return &a
	}
	listed := func(generation int64) func(*v1alpha1.Assignment) {
		return func(a *v1alpha1.Assignment) {
			a.Unproven = []v1alpha1.UnprovenOwner{{Node: "node-a", NodeID: 1, Generation: generation, Epoch: 4}}
		}
	}
	for name, tc := range map[string]struct {
		assignment *v1alpha1.Assignment
		standing   *standing
		known      bool
		want       lifecycle.Verdict
		since      uint64
		obeyed     model.Epoch
	}{
		"never assigned":        {nil, at(7, true), true, lifecycle.VerdictNone, 0, 0},
		"mine":                  {&mine, at(7, true), false, lifecycle.VerdictRun, 0, 0},
		"mine, in a later view": {&mine, at(9, true), false, lifecycle.VerdictRun, 0, 0},
		"R10: made in a view that is not mine yet":    {&mine, at(6, true), false, lifecycle.VerdictWait, 0, 0},
		"R10: not acting":                             {&mine, at(7, false), false, lifecycle.VerdictWait, 0, 0},
		"R10: no view":                                {&mine, at(0, false), false, lifecycle.VerdictWait, 0, 0},
		"O3: for an older life of mine":               {with(mine, func(a *v1alpha1.Assignment) { a.Generation = 2 }), at(7, true), true, lifecycle.VerdictNone, 0, 0},
		"O3: for a life that has not begun":           {with(mine, func(a *v1alpha1.Assignment) { a.Generation = 4 }), at(7, true), true, lifecycle.VerdictNone, 0, 0},
		"O7: an epoch that cannot be":                 {with(mine, func(a *v1alpha1.Assignment) { a.Epoch = int64(model.MaxEpoch) + 1 }), at(7, true), true, lifecycle.VerdictNone, 0, 0},
		"another's, nothing of it here":               {&others, at(7, true), false, lifecycle.VerdictNone, 0, 0},
		"another's, something of it here":             {&others, at(7, true), true, lifecycle.VerdictStop, 0, 0},
		"withdrawn, nothing of it here":               {&withdrawn, at(7, true), false, lifecycle.VerdictNone, 0, 0},
		"O1: withdrawn, something of it here":         {&withdrawn, at(7, true), true, lifecycle.VerdictStop, 0, 0},
		"O1: withdrawn, the one before never seen":    {with(withdrawn, listed(3)), at(7, true), false, lifecycle.VerdictStop, 0, 0},
		"O1: another's, I am asked for my answer":     {with(others, listed(3)), at(7, true), false, lifecycle.VerdictStop, 0, 0},
		"O3: asked for an answer of an older life":    {with(withdrawn, listed(2)), at(7, true), false, lifecycle.VerdictNone, 0, 0},
		"R10: a withdrawal of a view not mine yet":    {&withdrawn, at(6, true), true, lifecycle.VerdictWait, 0, 0},
		"a withdrawal without quorum is not carried":  {&withdrawn, at(7, false), true, lifecycle.VerdictWait, 0, 0},
		"R10: made before my life first acted":        {&mine, at(9, true), false, lifecycle.VerdictOld, 9, 0},
		"R10: made in the first view that I acted in": {&mine, at(9, true), false, lifecycle.VerdictRun, 7, 0},
		"R10: it runs here already":                   {&mine, at(9, true), true, lifecycle.VerdictRun, 9, 5},
	} {
		t.Run(name, func(t *testing.T) {
			if got := judge(tc.assignment, tc.standing, tc.since, tc.known, tc.obeyed); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func duration(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }

func accepted(generation int64, status metav1.ConditionStatus) []metav1.Condition {
	return []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: status, ObservedGeneration: generation}}
}

func missing(generation int64) []metav1.Condition {
	return []metav1.Condition{{
		Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: v1alpha1.ResourceReasonMissingDependency, ObservedGeneration: generation,
	}}
}

// TestUnaccepted: what the manager has not accepted in its present form never reaches the host.
func TestUnaccepted(t *testing.T) {
	group := &v1alpha1.ResourceGroup{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	for name, tc := range map[string]struct {
		conditions []metav1.Condition
		generation int64
		group      []metav1.Condition
		want       string
	}{
		"accepted":                 {accepted(2, metav1.ConditionTrue), 2, nil, ""},
		"refused":                  {accepted(2, metav1.ConditionFalse), 2, nil, "disk"},
		"not looked at":            {nil, 1, nil, "disk"},
		"changed since":            {accepted(2, metav1.ConditionTrue), 3, nil, "disk"},
		"the group is refused":     {accepted(2, metav1.ConditionTrue), 2, accepted(1, metav1.ConditionFalse), "shop"},
		"the group is accepted":    {accepted(2, metav1.ConditionTrue), 2, accepted(1, metav1.ConditionTrue), ""},
		"a dependency is gone":     {missing(2), 2, nil, ""},
		"gone, and changed since":  {missing(2), 3, nil, "disk"},
		"accepted in the meantime": {accepted(3, metav1.ConditionTrue), 3, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Name: "disk", Generation: tc.generation}}
			r.Status.Conditions = tc.conditions
			group.Status.Conditions = tc.group
			around := &surroundings{resources: []*v1alpha1.Resource{r}}
			if got := around.unaccepted(group); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestDiskPaths(t *testing.T) {
	named := func(name string) *v1alpha1.Resource {
		return &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	data, raw, box := named("data"), named("raw"), named("box")
	data.Spec.LoopbackDisk = &v1alpha1.LoopbackDisk{MountPath: "/srv/data"}
	raw.Spec.PhysicalDisk = &v1alpha1.PhysicalDisk{Device: "/dev/sdx"}
	box.Spec.Container = &v1alpha1.Container{Mounts: []v1alpha1.ContainerMount{
		{Disk: "data", Path: "/a"}, {Disk: "raw", Path: "/b"}, {Disk: "other", Path: "/c"}, {HostPath: "/opt/x", Path: "/d"},
	}}
	all := []*v1alpha1.Resource{data, raw, box}
	if got := diskPathsOf(box, all); len(got) != 1 || got["data"] != "/srv/data" {
		t.Errorf("the container's disks are %v", got)
	}
	if got := diskPathsOf(data, all); got != nil {
		t.Errorf("a disk's disks are %v", got)
	}
}

func TestNetworkName(t *testing.T) {
	resource := func(name string, dependsOn ...v1alpha1.Dependency) *v1alpha1.Resource {
		r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Name: name}}
		r.Spec.DependsOn = dependsOn
		return r
	}
	name := resource("name", v1alpha1.Dependency{Name: "ip"})
	name.Spec.NetworkName = &v1alpha1.NetworkName{Name: "orders"}
	all := []*v1alpha1.Resource{
		resource("ip"), name, resource("share", v1alpha1.Dependency{AnyOf: []string{"ip", "name"}}),
		resource("app", v1alpha1.Dependency{Name: "share"}), resource("loop", v1alpha1.Dependency{Name: "loop"}), resource("ip6"),
	}
	all[0].Spec.IPAddress = &v1alpha1.IPAddress{Address: "192.0.2.7/24"}
	all[0].Spec.DependsOn = []v1alpha1.Dependency{{AnyOf: []string{"ip6", "name"}}}
	all[5].Spec.IPAddress = &v1alpha1.IPAddress{Address: "2001:db8::7/64"}
	for i, want := range map[int]string{0: "orders", 2: "orders", 3: "orders", 4: ""} {
		if got := networkNameOf(all[i], all); got != want {
			t.Errorf("%s belongs to %q, want %q", all[i].Name, got, want)
		}
	}
	around := &surroundings{cluster: &v1alpha1.Cluster{}, resources: all}
	for i, want := range map[int]string{0: "[]", 1: "[192.0.2.7 2001:db8::7]", 3: "[]"} {
		got, err := resourceOf(all[i], around)
		if err != nil || fmt.Sprint(got.Addresses) != want {
			t.Errorf("%s has the addresses %v, %v, want %v", all[i].Name, got.Addresses, err, want)
		}
	}
}

func TestFailToken(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "x1": "x1", " x1 ": "x1", "a/x1": "x1", "b/x1": "", "a/": "", strings.Repeat("x", 65): "",
	} {
		r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.SimulateFailureAnnotation: value}}}
		if got := failTokenOf(r, &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}); got != want {
			t.Errorf("%q on node a: token %q, want %q", value, got, want)
		}
	}
}
