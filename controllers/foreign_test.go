package controllers_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/controllertest"
)

// clearing is a world with one group, whose disk some hosts see.
type clearing struct {
	*controllertest.World
	t *testing.T
}

func (c *clearing) agent(node string, change func(*v1alpha1.AgentStatus)) {
	c.t.Helper()
	n := c.Node(node)
	before := n.DeepCopy()
	change(n.Status.Agent)
	if err := c.Env.Admin.Status().Patch(c.t.Context(), n, client.MergeFrom(before)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *clearing) annotate(value, reason string) {
	c.t.Helper()
	r := c.R("app-disk")
	c.Update(r, func() {
		r.Annotations = map[string]string{
			v1alpha1.ClearForeignAnnotation: value, v1alpha1.ClearForeignReasonAnnotation: reason, v1alpha1.ClearForeignByAnnotation: "admin",
		}
	})
}

// refused asks for something that is not carried out.
func (c *clearing) refused(value, why string) {
	c.t.Helper()
	told(c.World)
	before := c.R("app-disk").Status.ForeignReservation
	c.annotate(value, "gone")
	c.Settle()
	r := c.R("app-disk")
	if events := told(c.World); !strings.Contains(events, "ClearForeignRefused") || !strings.Contains(events, why) {
		c.t.Errorf("events %q, want a refusal with %q", events, why)
	}
	after := r.Status.ForeignReservation
	if len(r.Annotations) != 0 || (before == nil) != (after == nil) || before != nil && before.Number != after.Number {
		c.t.Errorf("annotations %v, status %+v", r.Annotations, after)
	}
}

// TestClearForeign: an operator has a foreign reservation cleared with annotations. It is refused while the disk is online; else one
// agent is asked, once, even if the manager dies in between, and how it ended is kept and told.
func TestClearForeign(t *testing.T) {
	c := &clearing{World: controllertest.NewWorld(t, env, "foreign", "foreign-a", "foreign-b"), t: t}
	c.Group("app", 1)
	c.Settle()
	c.refused("0xfeed", "take its group offline first")

	g := c.G("app")
	c.Update(g, func() { g.Spec.DesiredState = v1alpha1.DesiredOffline })
	c.Settle()
	c.refused("0xfeed", "/array/disk-1.img cannot be seen on foreign-a, foreign-b")
	disk := v1alpha1.AgentDisk{Device: "/array/disk-1.img", Visible: true}
	c.agent("foreign-b", func(a *v1alpha1.AgentStatus) { a.Disks = []v1alpha1.AgentDisk{disk} })

	told(c.World)
	c.annotate("0xfeed,0x1/incident-17", "that cluster was dissolved")
	c.SettleWithCrash(1)
	r := c.R("app-disk")
	f := r.Status.ForeignReservation
	if f == nil || f.Number != 1 || f.Node != "foreign-b" || f.State != v1alpha1.ClearingRequested || strings.Join(f.Keys, " ") != "0x0000000000000001 0x000000000000feed" ||
		f.By != "admin" || f.Reason != "that cluster was dissolved" || f.Token != "incident-17" || len(r.Annotations) != 0 {
		t.Fatalf("status %+v, annotations %v", f, r.Annotations)
	}
	if events := told(c.World); strings.Count(events, "ForeignReservationClearing") != 1 || !strings.Contains(events, "asked for by admin: that cluster was dissolved") {
		t.Errorf("events %q", events)
	}
	// An older report, and one of another host, say nothing about it.
	now := metav1.NewMicroTime(c.Clock.Now().Add(time.Second))
	report := v1alpha1.AgentClearing{UID: string(r.UID), Number: 1, State: v1alpha1.ClearingCleared, Message: "removed 0xfeed", Time: &now}
	c.agent("foreign-a", func(a *v1alpha1.AgentStatus) { a.Clearings = []v1alpha1.AgentClearing{report} })
	c.Settle()
	if f := c.R("app-disk").Status.ForeignReservation; f.State != v1alpha1.ClearingRequested {
		t.Errorf("another host's word counts: %+v", f)
	}
	c.agent("foreign-b", func(a *v1alpha1.AgentStatus) { a.Clearings = []v1alpha1.AgentClearing{report} })
	c.Settle()
	if f := c.R("app-disk").Status.ForeignReservation; f.State != v1alpha1.ClearingCleared || f.Message != "removed 0xfeed" || f.Number != 1 {
		t.Errorf("status %+v", f)
	}
	if events := told(c.World); strings.Count(events, "ForeignReservationCleared") != 1 || !strings.Contains(events, "foreign-b: removed 0xfeed") {
		t.Errorf("events %q", events)
	}

	// The token has acted for ever; without one it is a new act, which ends when its node leaves.
	c.annotate("0xfeed,0x1/incident-17", "again")
	c.Settle()
	if f := c.R("app-disk").Status.ForeignReservation; f.Number != 1 || len(c.R("app-disk").Annotations) != 0 {
		t.Errorf("the token acts twice: %+v", f)
	}
	c.annotate("0xfeed", "once more")
	c.Settle()
	if f := c.R("app-disk").Status.ForeignReservation; f.Number != 2 || f.State != v1alpha1.ClearingRequested {
		t.Errorf("status %+v", f)
	}
	c.Kill("foreign-b")
	c.View("foreign-a")
	c.Settle()
	if f := c.R("app-disk").Status.ForeignReservation; f.State != v1alpha1.ClearingFailed || !strings.Contains(f.Message, "ask for it again") {
		t.Errorf("status %+v", f)
	}

	// What a host's operator did is recorded too.
	later := metav1.NewMicroTime(c.Clock.Now().Add(time.Minute))
	c.agent("foreign-a", func(a *v1alpha1.AgentStatus) {
		a.Clearings = []v1alpha1.AgentClearing{{
			UID: string(r.UID), Keys: []string{"0xfeed"}, By: "eve on foreign-a", Reason: "gone", State: v1alpha1.ClearingCleared, Message: "removed 0xfeed", Time: &later,
		}}
	})
	told(c.World)
	c.Settle()
	if f := c.R("app-disk").Status.ForeignReservation; f.Number != 3 || f.By != "eve on foreign-a" || f.State != v1alpha1.ClearingCleared {
		t.Errorf("status %+v", f)
	}
	if events := told(c.World); strings.Count(events, "ForeignReservationCleared") != 1 {
		t.Errorf("events %q", events)
	}
}
