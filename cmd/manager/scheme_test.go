package main

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/controllers/chronicle"
	"github.com/quorate/quorate/pkg/status"
)

// TestScheme: a manager can write Events of the past: without them no journal would ever be written to its end.
func TestScheme(t *testing.T) {
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	g := &v1alpha1.ResourceGroup{}
	g.Namespace, g.Name, g.UID = "demo", "shop", "u"
	c := fake.NewClientBuilder().WithScheme(scheme).Build()
	events := []status.Event{{Reason: "NodeDown", Action: "Failover", Note: "node-a is down"}}
	if err := chronicle.NewPast(c, "test")(t.Context(), g, "1", time.Unix(1, 0), events); err != nil {
		t.Error(err)
	}
}
