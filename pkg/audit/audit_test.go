package audit

import (
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/reservation"
)

// nothing wants no finding at all.
func (w *world) nothing(when string) {
	w.t.Helper()
	for _, f := range w.found {
		w.t.Errorf("%s: found %s %s: %s (%+v)", when, f.Invariant, f.Object, f.Message, f.Evidence)
	}
}

func TestHealthyClusterHasNoFinding(t *testing.T) {
	w := newWorld(t)
	w.pass(5 * time.Minute)
	w.nothing("nothing happens")
	v := w.auditor.Verdict()
	if v.Looks != 600 || v.Seen[SourceAPI] != 600 || v.Seen[SourceHosts] != 1800 || !strings.HasSuffix(v.Summary(), "nothing found") {
		t.Errorf("verdict %+v: %s", v, v.Summary())
	}
}

// TestSameCommandTwice: two resources may have the same command; a process of it that is in neither's control group is still a stranger.
func TestSameCommandTwice(t *testing.T) {
	w := newWorld(t)
	w.addGroup("twin", "/array/2", "/srv/quorate/twin", "10.0.0.102")
	for _, r := range w.of("twin") {
		if r.Spec.GenericApplication != nil {
			r.Spec.GenericApplication.Command = []string{"/bin/web", "shop"}
		}
	}
	w.place("twin", "b", 3)
	w.pass(time.Minute)
	w.nothing("two resources have the same command")
	w.hosts["c"].Processes = []Process{{PID: 9, Name: "web", Command: CommandHash([]string{"/bin/web", "shop"})}}
	w.pass(time.Minute)
	if len(w.found) == 0 {
		t.Error("a process that nobody has started through Quorate was not found")
	}
}

// TestHealthyFailover: node a loses quorum and is a little slow to stop; b takes over, with every step seen by a look of its own.
func TestHealthyFailover(t *testing.T) {
	w := newWorld(t)
	w.pass(3 * time.Second)
	w.hosts["a"].Lease = &Lease{Left: -time.Millisecond, SelfFence: time.Second}
	w.answers["10.0.0.101"] = nil
	w.look()
	w.publish("b", 6, 2, 3)
	w.pass(500 * time.Millisecond)
	w.assign("shop", "b", 8, "a")
	w.pass(time.Second) // both seem to have it: the old process dies by its deadline
	for _, r := range w.of("shop") {
		w.run("b", r)
	}
	w.look()
	stale := w.disks["/array/1"].Holder
	w.place("shop", "b", 8)
	w.disks["/array/1"].Keys = append(w.disks["/array/1"].Keys, stale)
	w.look()
	w.disks["/array/1"].Keys = w.disks["/array/1"].Keys[:1]
	w.pass(500 * time.Millisecond)
	w.clear("a")
	w.pass(time.Minute)
	w.nothing("a failover")
}

// TestHealthyMove: withdrawn, released, given to another node.
// TestWitnessChallenged: the keys of challengers come and go, and say nothing of epochs.
func TestWitnessChallenged(t *testing.T) {
	w := newWorld(t)
	w.pass(2 * time.Second)
	for _, keys := range [][]reservation.Key{{key(t, 1, 900)}, {key(t, 1, 900), key(t, 2, 950)}, {key(t, 1, 900)}} {
		w.disks["/array/witness"].Keys = keys
		w.pass(2 * time.Second)
	}
	w.nothing("a challenge")
}

func TestHealthyMove(t *testing.T) {
	w := newWorld(t)
	w.pass(2 * time.Second)
	w.assign("shop", "", 8, "a")
	w.pass(90 * time.Second) // a slow stop
	w.clear("a")
	w.answers["10.0.0.101"] = nil
	w.pass(time.Second)
	w.assign("shop", "b", 9)
	w.pass(time.Second)
	w.place("shop", "b", 9)
	w.pass(time.Minute)
	w.nothing("a move")
}

func TestOutagesAreNoFindings(t *testing.T) {
	w := newWorld(t)
	w.pass(time.Second)
	w.apiGone = true
	w.pass(time.Minute)
	w.apiGone = false
	w.pass(time.Second)
	w.hosts["a"].Halted = true // frozen: its kernel keeps all, silenced
	w.publish("b", 6, 2, 3)
	w.place("shop", "b", 8)
	w.pass(time.Minute)
	w.hosts["a"].Halted = false
	w.hosts["a"].Lease.Left = -time.Minute
	w.pass(time.Second)
	w.clear("a")
	w.pass(10 * time.Second)
	w.nothing("outages")
}

// TestViolations plants one violation each, and wants it found, as what it is, within its time and not before the grace.
func TestViolations(t *testing.T) {
	shop := func(w *world) *v1alpha1.ResourceGroup { return w.group("shop") }
	cases := map[string]struct {
		plant     func(*world)
		invariant string
		object    string
		message   string
		after     time.Duration // not before
		notice    bool
	}{
		"the group on two members": {
			plant: func(w *world) {
				w.node("b").Status.Agent.Groups = []v1alpha1.AgentGroup{{UID: "group-shop", Epoch: 7, Generation: 1}}
			}, invariant: "S1", object: "ResourceGroup demo/shop", message: "on a and on b", after: 2 * time.Second,
		},
		"the address on two hosts": {
			plant:     func(w *world) { w.run("b", w.of("shop")[1]) },
			invariant: "S1", object: "Resource demo/shop-ip", message: "on b and on a", after: 2 * time.Second,
		},
		"two machines answer": {
			plant:     func(w *world) { w.answers["10.0.0.101"] = []string{"02:00:00:00:00:01", "02:00:00:00:00:02"} },
			invariant: "S1", object: "Resource demo/shop-ip", message: "2 machines answer",
		},
		"two machines answer, without the API": {
			plant: func(w *world) {
				w.apiGone = true
				w.answers["10.0.0.101"] = []string{"02:00:00:00:00:01", "02:00:00:00:00:02"}
			}, invariant: "S1", object: "Address 10.0.0.101", message: "2 machines answer",
		},
		"the wrong machine answers": {
			plant:     func(w *world) { w.answers["10.0.0.101"] = []string{"02:00:00:00:00:03"} },
			invariant: "S1", object: "Resource demo/shop-ip", message: "(c), which does not own it", after: 2 * time.Second,
		},
		"a foreign key": {
			plant: func(w *world) {
				w.disks["/array/1"].Keys = append(w.disks["/array/1"].Keys, 0x1234567890)
			}, invariant: "S2", object: "Resource demo/shop-disk", message: "not of this cluster", after: time.Second,
		},
		"a stale key": {
			plant: func(w *world) {
				w.disks["/array/1"].Keys = append(w.disks["/array/1"].Keys, key(w.t, 2, 6))
			}, invariant: "S2", object: "Resource demo/shop-disk", message: "node 2 at epoch 6", after: time.Second / 2,
		},
		"the disk held by another": {
			plant: func(w *world) {
				k := key(w.t, 2, 7)
				w.disks["/array/1"].Keys, w.disks["/array/1"].Holder = []reservation.Key{k}, k
			}, invariant: "S2", object: "Resource demo/shop-disk", message: "held by node 2", after: time.Second,
		},
		"the wrong type of reservation": {
			plant:     func(w *world) { w.disks["/array/1"].Type = 1 },
			invariant: "S2", object: "Resource demo/shop-disk", message: "type 1 instead of 5", after: time.Second,
		},
		"one number, two views": {
			plant:     func(w *world) { w.publish("c", 5, 3); w.publish("a", 5, 1, 2) },
			invariant: "S3", object: "Cluster demo", message: "exclude each other", after: time.Second,
		},
		"a view published behind a newer one": {
			plant: func(w *world) {
				w.publish("b", 9, 2, 3)
				w.place("shop", "b", 8)
				w.clear("a")
				w.look()
				w.publish("a", 8, 1)
			}, invariant: "S3", object: "Cluster demo", message: "a and b claim quorum", after: time.Second,
		},
		"two hosts act": {
			plant: func(w *world) {
				w.hosts["a"].Lease.Members, w.hosts["c"].Lease.Members = []string{"a", "b"}, []string{"c"}
			}, invariant: "S3", object: "Node a", message: "a and c both act", after: time.Second / 2,
		},
		"a foreign key on the witness": {
			plant: func(w *world) {
				w.disks["/array/witness"].Keys = append(w.disks["/array/witness"].Keys, 0x1234567890)
			}, invariant: "S3", object: "QuorumConfig demo", message: "not of this cluster", after: time.Second,
		},
		"the witness elsewhere": {
			plant: func(w *world) {
				w.publish("b", 6, 2, 3)
				w.node("b").Status.Agent.View.WitnessHeld = true
				w.place("shop", "b", 8)
				w.clear("a")
			}, invariant: "S3", object: "Cluster demo", message: "held by node 1, and that is not in the view", after: 5 * time.Second,
		},
		"running without quorum": {
			plant:     func(w *world) { w.hosts["a"].Lease = &Lease{Left: -5 * time.Second, SelfFence: time.Second} },
			invariant: "S4", object: "Node a", message: "no quorum", after: 2 * time.Second,
		},
		"the epoch falls": {
			plant:     func(w *world) { shop(w).Status.Assignment.Epoch = 6 },
			invariant: "S5", object: "ResourceGroup demo/shop", message: "fell from 7 to 6",
		},
		"an agent ahead": {
			plant:     func(w *world) { w.node("a").Status.Agent.Groups[0].Epoch = 9 },
			invariant: "S5", object: "ResourceGroup demo/shop", message: "epoch 9, which was never given out", after: 5 * time.Second,
		},
		"a disk ahead": {
			plant: func(w *world) {
				w.disks["/array/1"].Keys = append(w.disks["/array/1"].Keys, key(w.t, 2, 20))
			}, invariant: "S5", object: "Resource demo/shop-disk", message: "carries epoch 20", after: 5 * time.Second,
		},
		"without its disk": {
			plant:     func(w *world) { w.of("shop")[0].Status.State = v1alpha1.ResourceFailed },
			invariant: "S6", object: "Resource demo/shop-web", message: "shop-disk is not Online", after: 2 * time.Second,
		},
		"not a possible owner": {
			plant:     func(w *world) { w.of("shop")[0].Spec.PossibleOwners = []string{"b"} },
			invariant: "S7", object: "ResourceGroup demo/shop", message: "not a possible owner", after: 10 * time.Second,
		},
		"a mount is left": {
			plant: func(w *world) {
				w.hosts["c"].Mounts = []Mount{{Path: "/srv/quorate/shop", Type: "tmpfs", Source: "tmpfs"}}
				w.hosts["a"] = nil // and nobody can look at the owner
			}, invariant: "S9", object: "Resource demo/shop-disk", message: "left on c", after: 3 * time.Second,
		},
		"a process outside": {
			plant: func(w *world) {
				w.hosts["b"].Processes = []Process{{PID: 9, Name: "web", Command: CommandHash([]string{"/bin/web", "shop"})}}
			}, invariant: "S9", object: "Resource demo/shop-web", message: "runs on b as process 9", after: time.Second,
		},
		"a mount of nobody": {
			plant:     func(w *world) { w.hosts["b"].Mounts = []Mount{{Path: "/srv/quorate/gone", Source: "/dev/loop3"}} },
			invariant: "S9", object: "Node b", message: "no Resource has that mountPath", after: 3 * time.Second,
		},
		"a process that the run state forgot": {
			plant: func(w *world) {
				w.hosts["b"].Processes = []Process{{PID: 9, Name: "x", Command: "x", Resource: "uid-unknown"}}
			}, invariant: "S9", object: "Node b", message: "knows nothing", after: 3 * time.Second,
		},
		"not online": {
			plant: func(w *world) {
				for _, r := range w.of("shop") {
					r.Status.State = v1alpha1.ResourceOffline
				}
			}, invariant: "L1", object: "ResourceGroup demo/shop", message: "is Offline", after: 19 * time.Second,
		},
		"reported, and not there": {
			plant:     func(w *world) { w.hosts["a"].Mounts = nil },
			invariant: "L1", object: "Resource demo/shop-disk", message: "nothing of it is there", after: 19 * time.Second,
		},
		"given up": {
			plant: func(w *world) {
				for _, r := range w.of("shop") {
					r.Status.State = v1alpha1.ResourceFailed
				}
			}, invariant: "L1", object: "ResourceGroup demo/shop", message: "is Failed", after: 19 * time.Second, notice: true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.pass(3 * time.Second)
			tc.plant(w)
			w.pass(tc.after)
			if tc.after > 0 {
				w.nothing("before its grace was over")
			}
			w.pass(40 * time.Second)
			want := Violation
			if tc.notice {
				want = Notice
			}
			for _, f := range w.auditor.Verdict().Findings {
				if f.Invariant == tc.invariant && f.Object == tc.object && strings.Contains(f.Message, tc.message) {
					if f.Severity != want || len(f.Evidence) == 0 || f.Advice == "" || !f.Lasts || f.FirstSeen.IsZero() {
						t.Errorf("found as %+v, want severity %s, evidence, advice and times", f, want)
					}
					return
				}
			}
			t.Errorf("not found; found instead: %+v", w.found)
		})
	}
}

// TestRequiredAntiAffinity: what is put together while somebody looks is a violation, what was together before is a notice.
func TestRequiredAntiAffinity(t *testing.T) {
	for name, severity := range map[string]Severity{"before the first look": Notice, "put together": Violation} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.cluster.Spec.AntiAffinity = v1alpha1.AntiAffinityRequired
			w.addGroup("news", "/array/2", "/srv/quorate/news", "10.0.0.102")
			for _, g := range w.groups {
				g.Spec.AntiAffinityClasses = []string{"web"}
			}
			if severity == Violation {
				w.place("news", "b", 3)
				w.pass(3 * time.Second)
				w.clear("b")
			}
			w.place("news", "a", 4)
			w.pass(10 * time.Second)
			if len(w.found) != 1 || w.found[0].Invariant != "S7" || w.found[0].Severity != severity {
				t.Errorf("found %+v, want one %s of S7", w.found, severity)
			}
		})
	}
}

// TestFindingEnds: a finding that is no longer seen stays in the verdict, with its end.
func TestFindingEnds(t *testing.T) {
	w := newWorld(t)
	w.run("b", w.of("shop")[1])
	w.pass(10 * time.Second)
	w.clear("b")
	w.pass(5 * time.Second)
	v := w.auditor.Verdict()
	if len(v.Findings) != 1 || v.Findings[0].Lasts || v.Violations() != 1 || !v.Findings[0].LastSeen.Before(v.Ended) {
		t.Errorf("findings %+v, want one that has ended", v.Findings)
	}
	if !strings.Contains(v.Summary(), "1 VIOLATIONS") {
		t.Errorf("summary: %s", v.Summary())
	}
}

// TestJournalInForce: what the nodes have decided without the API server is in force as soon as it is published, before it is written; and
// without it the same is a finding.
func TestJournalInForce(t *testing.T) {
	for _, published := range []bool{true, false} {
		w := newWorld(t)
		w.pass(3 * time.Second)
		w.apiGone = true
		w.clear("a")
		w.place("shop", "b", 600)
		decided := w.group("shop").Status.DeepCopy()
		w.assign("shop", "a", 7) // that is what the API server has
		w.hosts["a"] = nil
		w.pass(time.Minute)
		w.nothing("nobody reaches the API server")
		w.apiGone = false
		w.publish("b", 6, 2, 3)
		page, token, _, err := replica.Page([]replica.Entry{{
			ID: replica.EntryID{View: model.ViewID{Number: 6, Coordinator: 2}, Session: 1, Number: 1}, Namespace: "demo", Name: "shop",
			UID: string(w.group("shop").UID), Status: decided, Decided: true,
		}})
		if err != nil {
			t.Fatal(err)
		}
		if published {
			w.node("b").Status.Agent.Journal = &v1alpha1.AgentJournal{Pending: true, Page: page, Token: token}
		}
		w.pass(time.Minute)
		if found := len(w.found) > 0; found == published {
			t.Errorf("journal published: %t, found %v", published, w.found)
		}
	}
}
