package lifecycle

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate/quorate/pkg/model"
)

func owner(id model.NodeID, generation model.Generation) model.Owner {
	return model.Owner{Node: string(rune('a' + id - 1)), ID: id, Generation: generation}
}

func view(number uint64, at time.Duration, members ...model.Member) View {
	return View{At: at, ID: model.ViewID{Number: number, Coordinator: 1}, Members: members}
}

func member(id model.NodeID, generation model.Generation) model.Member {
	return model.Member{ID: id, Generation: generation}
}

// TestLacks is rule O4: from which view on an owner is gone.
func TestLacks(t *testing.T) {
	a, b, b2, c := member(1, 1), member(2, 5), member(2, 6), member(3, 1)
	tests := map[string]struct {
		views []View
		lost  bool
		from  uint64
		since time.Duration
		ok    bool
	}{
		"no view yet":                    {},
		"it is a member":                 {views: []View{view(1, 10, a, b, c)}},
		"gone in the assignment's view":  {views: []View{view(1, 10, a, b, c), view(2, 20, a, c)}, from: 2, since: 20, ok: true},
		"gone, and more views since":     {views: []View{view(2, 20, a, c), view(3, 30, a)}, from: 2, since: 20, ok: true},
		"the assignment's view is later": {views: []View{view(2, 20, a, c), view(3, 30, a)}, from: 3, since: 30, ok: true},
		"not yet in the assignment's":    {views: []View{view(2, 20, a, c)}, from: 3},
		"gone, back and gone again":      {views: []View{view(2, 20, a), view(3, 30, a, b), view(4, 40, a)}, since: 40, ok: true},
		"back in the same life":          {views: []View{view(2, 20, a), view(3, 30, a, b)}},
		"back in a newer life":           {views: []View{view(2, 20, a), view(3, 30, a, b2)}, since: 20, ok: true},
		"this node lost its own view":    {views: []View{view(2, 20, a, c)}, lost: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var v *Views
			for _, x := range tc.views {
				v = v.Install(x)
			}
			if tc.lost {
				v = v.Lose()
			}
			since, ok := v.Lacks(owner(2, 5), tc.from)
			if since != tc.since || ok != tc.ok {
				t.Errorf("got %d %v, want %d %v", since, ok, tc.since, tc.ok)
			}
		})
	}
}

func TestViewsAreBoundedAndImmutable(t *testing.T) {
	var v *Views
	for i := range uint64(1000) {
		before := v
		v = v.Install(view(i+1, time.Duration(i), member(1, 1)))
		if before != nil && len(before.history) > viewsKept {
			t.Fatalf("%d views are kept", len(before.history))
		}
	}
	older := v
	v.Install(view(1001, 1001, member(2, 9)))
	if older.Newer(owner(2, 1)) {
		t.Error("a history changed after it was handed out")
	}
}

// TestProve is the table of rule O13.
func TestProve(t *testing.T) {
	enforced := Reservation{Enforced: true, Proof: true}
	free := Reservation{Enforced: true}
	self := member(1, 3)
	gone := (*Views)(nil).Install(view(7, 100*time.Second, self))
	base := Facts{Self: self, Views: gone, Fencing: Fencing{
		SelfFence: time.Second, Witness: 100 * time.Millisecond, Margin: 50 * time.Millisecond,
		GuardsAddresses: map[model.NodeID]bool{2: true},
	}}
	deadline := 101*time.Second + 150*time.Millisecond
	dead := []model.Owner{owner(2, 5)}
	tests := map[string]struct {
		kind        Kind
		reservation Reservation
		unproven    []model.Owner
		change      func(*Facts)
		now         time.Duration
		want        ProofType
		at          time.Duration
	}{
		"nobody to prove":                  {kind: KindProcess, want: ProofGracefulStop},
		"disk, preempted":                  {kind: KindDisk, reservation: enforced, unproven: dead, want: ProofReservation},
		"disk, found free (O19)":           {kind: KindDisk, reservation: free, unproven: dead, now: 100 * time.Second, at: deadline},
		"disk, advisory":                   {kind: KindDisk, reservation: Reservation{Proof: true}, unproven: dead, now: 100 * time.Second, at: deadline},
		"address of a guarding host":       {kind: KindAddress, unproven: dead, now: 100 * time.Second, want: ProofAddressLease},
		"address of an unguarding host":    {kind: KindAddress, unproven: []model.Owner{owner(3, 1)}, now: 100 * time.Second, at: deadline},
		"process, before the deadline":     {kind: KindProcess, unproven: dead, now: deadline - 1, at: deadline},
		"process, at the deadline":         {kind: KindProcess, unproven: dead, now: deadline, want: ProofSelfFence},
		"the weakest counts":               {kind: KindAddress, unproven: []model.Owner{owner(2, 5), owner(3, 1)}, now: deadline, want: ProofSelfFence},
		"a watchdog that is slower counts": {kind: KindProcess, unproven: dead, now: deadline, at: deadline + 2*time.Second, change: func(f *Facts) { f.Watchdogs = map[model.NodeID]time.Duration{2: 3 * time.Second} }},
		"a watchdog that is faster":        {kind: KindProcess, unproven: dead, now: deadline, want: ProofSelfFence, change: func(f *Facts) { f.Watchdogs = map[model.NodeID]time.Duration{2: time.Second} }},
		"all must be proven":               {kind: KindAddress, unproven: []model.Owner{owner(2, 5), owner(3, 1)}, now: 100 * time.Second, at: deadline},
		"power was cut":                    {kind: KindProcess, unproven: dead, want: ProofPowerFenced, change: func(f *Facts) { f.PowerFenced = map[model.Member]bool{member(2, 5): true} }},
		"its deadline proves nothing":      {kind: KindProcess, unproven: dead, now: deadline, at: forever, change: func(f *Facts) { f.OnlyPower = map[model.NodeID]bool{2: true} }},
		"an operator said so":              {kind: KindProcess, unproven: dead, want: ProofManualConfirmation, change: func(f *Facts) { f.Confirmed = map[model.Member]bool{member(2, 5): true} }},
		"of another life it says nothing":  {kind: KindProcess, unproven: dead, at: deadline, change: func(f *Facts) { f.Confirmed = map[model.Member]bool{member(2, 4): true} }},
		"a newer life (O3)":                {kind: KindProcess, unproven: dead, want: ProofNewerGeneration, change: func(f *Facts) { f.Views = f.Views.Install(view(8, 1, self, member(2, 6))) }},
		"this node's own older life":       {kind: KindProcess, unproven: []model.Owner{owner(1, 2)}, want: ProofNewerGeneration},
		"a life of it that is to come":     {kind: KindProcess, unproven: []model.Owner{owner(1, 4)}, now: 100 * time.Second, at: deadline},
		"this node itself":                 {kind: KindProcess, unproven: []model.Owner{owner(1, 3)}, want: ProofGracefulStop},
		"still a member":                   {kind: KindAddress, unproven: dead, at: forever, change: func(f *Facts) { f.Views = f.Views.Install(view(8, 1, self, member(2, 5))) }},
		"no view of this node's (O4)":      {kind: KindAddress, unproven: dead, at: forever, change: func(f *Facts) { f.Views = f.Views.Lose() }},
		"a view older than the assignment": {kind: KindAddress, unproven: dead, at: forever, change: func(f *Facts) { f.Views = (*Views)(nil).Install(view(6, 1, self)) }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := base
			if tc.change != nil {
				tc.change(&f)
			}
			got, at := f.Prove(tc.kind, tc.reservation, tc.unproven, model.ViewID{Number: 7}, tc.now)
			if tc.now == 0 && tc.at == deadline {
				at = deadline // only whether it waits is asked
			}
			if got != tc.want || at != tc.at {
				t.Errorf("got %q at %s, want %q at %s", got, at, tc.want, tc.at)
			}
		})
	}
}

// TestGates is a takeover after a death: what is fenced or guarded goes online at once, what is not waits.
func TestGates(t *testing.T) {
	loner := res("loner", KindProcess)
	tests := map[string]struct {
		resources []Resource
		advisory  bool
		at        map[string]time.Duration // when each came online, after the view
		proofs    []Proof
	}{
		"disk, address and a process on both": {
			resources: demo(),
			at:        map[string]time.Duration{"disk": 0, "ip": 0, "app": 0},
			proofs:    []Proof{{"disk", ProofReservation}, {"ip", ProofAddressLease}},
		},
		"a process alone": {
			resources: []Resource{loner}, at: map[string]time.Duration{"loner": time.Second}, proofs: []Proof{{"loner", ProofSelfFence}},
		},
		"a process beside a disk": {
			resources: []Resource{res("disk", KindDisk), loner},
			at:        map[string]time.Duration{"disk": 0, "loner": time.Second},
			proofs:    []Proof{{"disk", ProofReservation}, {"loner", ProofSelfFence}},
		},
		"an advisory disk, and a process on it": {
			resources: []Resource{res("disk", KindDisk), res("app", KindProcess, On("disk"))}, advisory: true,
			at:     map[string]time.Duration{"disk": time.Second, "app": time.Second},
			proofs: []Proof{{"disk", ProofSelfFence}, {"app", ProofSelfFence}},
		},
		"a process that depends on a protected one": {
			resources: []Resource{res("disk", KindDisk), res("db", KindProcess, On("disk")), res("web", KindProcess, On("db"))},
			at:        map[string]time.Duration{"disk": 0, "db": 0, "web": 0},
			proofs:    []Proof{{"disk", ProofReservation}},
		},
		"of two alternatives one protects nothing": {
			resources: []Resource{res("ip", KindAddress), loner, res("app", KindProcess, Dependency{AnyOf: []string{"ip", "loner"}})},
			at:        map[string]time.Duration{"ip": 0, "loner": time.Second, "app": time.Second},
			proofs:    []Proof{{"ip", ProofAddressLease}, {"loner", ProofSelfFence}, {"app", ProofSelfFence}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if tc.advisory {
				w.reserve = Reservation{}
			}
			start := w.now
			w.step(Facts{Self: member(1, 1), Views: (*Views)(nil).Install(view(7, start, member(1, 1))), Fencing: Fencing{
				SelfFence: time.Second, GuardsAddresses: map[model.NodeID]bool{2: true},
			}})
			w.step(Apply{Desired{Run: true, Epoch: 2, View: model.ViewID{Number: 7}, Unproven: []model.Owner{owner(2, 5)}, Resources: tc.resources}})
			w.run(3 * time.Second)
			got := map[string]time.Duration{}
			for _, r := range w.m.Report().Resources {
				got[r.Name] = (r.OnlineSince - start).Truncate(100 * time.Millisecond)
			}
			if diff := cmp.Diff(tc.at, got); diff != "" {
				t.Errorf("online at (-want +got):\n%s", diff)
			}
			report := w.m.Report()
			if diff := cmp.Diff(tc.proofs, report.Proofs); diff != "" || report.Proven != 2 || !report.Fenced || !report.AllOnline {
				t.Errorf("%+v, proofs (-want +got):\n%s", report, diff)
			}
		})
	}
}
