package lab_test

import (
	"context"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quorate/quorate/test/lab"
)

// TestControlPlaneOnAHost: an API server that dies with its host, and comes up with it again, with all that it had acknowledged; but not
// while it is stopped.
func TestControlPlaneOnAHost(t *testing.T) {
	needRoot(t)
	if testing.Short() {
		t.Skip("starts a real API server")
	}
	o := lab.Options{Name: "test-onhost", Hosts: 1, APIOnHosts: 1, BinDir: binDir, NoAgents: true}
	if err := lab.Down(t.Context(), o.Name); err != nil {
		t.Fatal(err)
	}
	l, err := lab.Up(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.Down(ctx); err != nil {
			t.Error(err)
		}
		nothingLeft(t, o.Name)
	})
	kubectl := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		cmd := osexec.CommandContext(ctx, assets(t, "kubectl"), append([]string{"--kubeconfig", l.Kubeconfig()}, args...)...)
		cmd.Stdin = strings.NewReader(`{"apiVersion": "quorate.io/v1alpha1", "kind": "ResourceGroup", "metadata": {"name": "kept", "namespace": "demo"},
			"spec": {"clusterName": "demo"}}`)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if out, err := kubectl("apply", "-f", "-"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ready := func() error {
		servers, err := l.APIServers(t.Context())
		if err == nil && !servers[0].Ready {
			err = errString(servers[0].Problem)
		}
		return err
	}
	if err := l.LeadEtcd(t.Context(), "node-a"); err == nil || !strings.Contains(err.Error(), "--api-on-hosts 3") {
		t.Errorf("the only etcd can be made the leader: %v", err)
	}
	if err := l.Cut(t.Context(), lab.Link{A: "node-a", B: "api"}); err == nil || !strings.Contains(err.Error(), "they are on node-a") {
		t.Errorf("the links of a host that is not there: %v", err)
	}
	if _, err := l.Kill(t.Context(), "node-a"); err != nil {
		t.Fatal(err)
	}
	if err := ready(); err == nil {
		t.Error("the API server has outlived its host")
	}
	if err := l.StopAPI(t.Context()); err == nil || !strings.Contains(err.Error(), "no host of an API server has power") {
		t.Errorf("stopping it where there is no power: %v", err)
	}
	must(t, l.Start(t.Context(), "node-a"))
	eventually(t, time.Minute, ready)
	if out, err := kubectl("get", "rg", "kept", "-o", "name"); err != nil || out != "resourcegroup.quorate.io/kept" {
		t.Errorf("after a power cut: %v: %s", err, out)
	}
	must(t, l.StopAPI(t.Context()))
	if _, err := l.Kill(t.Context(), "node-a"); err != nil {
		t.Fatal(err)
	}
	must(t, l.Start(t.Context(), "node-a"))
	time.Sleep(300 * time.Millisecond)
	for _, p := range hostStatus(t, l, "node-a").Processes {
		if p.Starts > 0 {
			t.Errorf("%s was stopped, and the host starts it", p.Name)
		}
	}
	must(t, l.StartAPI(t.Context()))
	if out, err := kubectl("get", "rg", "kept", "-o", "name"); err != nil {
		t.Errorf("started again: %v: %s", err, out)
	}
}

type errString string

func (e errString) Error() string { return string(e) }

func TestAPIOnHostsOptions(t *testing.T) {
	needRoot(t)
	for want, o := range map[string]lab.Options{
		"use 1 or 3":           {APIOnHosts: 2},
		"only 2 hosts":         {APIOnHosts: 3, Hosts: 2},
		"--no-api":             {APIOnHosts: 1, NoControlPlane: true},
		"negative: use 1 or 3": {APIOnHosts: -1},
	} {
		o.Name, o.BinDir = "test-options", binDir
		want = strings.TrimPrefix(want, "negative: ")
		if _, err := lab.Up(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}
