package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/quorate/quorate/api/v1alpha1"
)

// failBed is an API with one resource.
func failBed(t *testing.T, status v1alpha1.ResourceStatus) (client.Client, *v1alpha1.Resource) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	r := &v1alpha1.Resource{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "ip"}, Status: status}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(r).WithStatusSubresource(r).Build(), r
}

func online(since time.Time) v1alpha1.ResourceStatus {
	at := metav1.NewMicroTime(since)
	return v1alpha1.ResourceStatus{State: v1alpha1.ResourceOnline, Node: "a", Epoch: 3, OnlineSince: &at}
}

// TestFail: the command asks for the failure, shows what the agent then reports, and ends when the resource is online again.
func TestFail(t *testing.T) {
	start := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	api, r := failBed(t, online(start))
	agent := make(chan error, 1)
	go func() { agent <- restartOnceTold(t.Context(), api, start.Add(time.Minute)) }()
	var out bytes.Buffer
	o := &failOptions{namespace: "demo", wait: true, timeout: 20 * time.Second}
	if err := o.fail(t.Context(), api, &out, r.Name); err != nil {
		t.Fatal(err)
	}
	if err := <-agent; err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"demo/ip is told to fail on a", "Pending", "SimulatedFailure", "Online", "restarts here: 1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not tell %q:\n%s", want, out.String())
		}
	}
}

// restartOnceTold is an agent that acts on the annotation.
func restartOnceTold(ctx context.Context, api client.Client, since time.Time) error {
	r := &v1alpha1.Resource{}
	for {
		if err := api.Get(ctx, client.ObjectKey{Namespace: "demo", Name: "ip"}, r); err != nil {
			return err
		}
		if r.Annotations[v1alpha1.SimulateFailureAnnotation] != "" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.Status.State, r.Status.Reason = "OnlinePending", "SimulatedFailure"
	if err := api.Status().Update(ctx, r); err != nil {
		return err
	}
	time.Sleep(3 * failPoll)
	r.Status = online(since)
	r.Status.Restarts = 1
	return api.Status().Update(ctx, r)
}

// TestFailRefused: what cannot fail is told before anything is asked for.
func TestFailRefused(t *testing.T) {
	member := v1alpha1.ResourceStatus{Members: []v1alpha1.ResourceMember{{Node: "a", State: v1alpha1.ResourceOnline}, {Node: "b"}}}
	tests := map[string]struct {
		status     v1alpha1.ResourceStatus
		node, want string
	}{
		"offline":           {v1alpha1.ResourceStatus{State: "Offline"}, "", "is Offline"},
		"elsewhere":         {online(time.Now()), "b", "is on a, not on b"},
		"several members":   {member, "", "--node: a, b"},
		"an offline member": {member, "b", "not online"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			api, r := failBed(t, tc.status)
			o := &failOptions{namespace: "demo", node: tc.node, wait: true, timeout: time.Second}
			err := o.fail(t.Context(), api, &bytes.Buffer{}, r.Name)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(r), r); err != nil || len(r.Annotations) > 0 {
				t.Errorf("it was asked for all the same: %v, %v", r.Annotations, err)
			}
		})
	}
	api, r := failBed(t, online(time.Now()))
	o := &failOptions{namespace: "demo", wait: true, timeout: failPoll}
	if err := o.fail(t.Context(), api, &bytes.Buffer{}, r.Name); err == nil || !strings.Contains(err.Error(), "is the agent on a running?") {
		t.Errorf("nobody acts: %v", err)
	}
}
