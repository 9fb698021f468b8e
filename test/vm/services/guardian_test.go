package services

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/quorate/quorate/pkg/guardian"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/resourcetype/genericservice"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/test/vm/guest"
	"github.com/quorate/quorate/test/vm/guest/systemd"
)

// fence is the time in which a host must have stopped everything; the machine is emulated, so it is generous.
const fence = 8 * time.Second

// TestGuestGuardian: when the lease of a node whose agent is gone ends, what a unit runs is dead within selfFence.timeout and stays so:
// with a unit that systemd is told to start again whatever happens, and whose end starts more; with systemd's help and without.
func TestGuestGuardian(t *testing.T) {
	systemd.Require(t)
	const socket = "/run/systemd/private"
	for name, without := range map[string]bool{"with systemd": false, "systemd does not answer": true} {
		if !without && !guest.AtLength() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			const unit = "shop-web.service"
			systemd.Units(t, map[string]string{unit: stubborn + "ExecStopPost=/bin/sh -c 'trap \"\" TERM; sleep 100000'\nTimeoutStopSec=1h\n"})
			runDir := t.TempDir()
			store, err := runstate.Open(runDir, "")
			must(t, err)
			defer store.Close()
			inst := instance(t, unit)
			must(t, genericservice.New().Online(t.Context(), inst))
			if len(ofUnit(t, unit)) == 0 {
				t.Fatal("nothing runs")
			}
			must(t, store.PutResource(&runstate.Resource{
				Version: 1, Resource: inst.Resource, Group: inst.Group, Type: genericservice.Name, Cluster: "test", NodeName: "node-a", Node: 1,
				Generation: 1, Epoch: 1, BootID: "boot", Spec: inst.Spec, Data: inst.Data, Machine: lifecycle.SavedResource{Phase: lifecycle.PhaseOnline},
			}))
			lease, err := runstate.OpenLease(runDir)
			must(t, err)
			defer lease.Close()
			end := runstate.BootTime() + time.Second
			must(t, lease.Write(runstate.Lease{KeepingUntil: end, Generation: 1, BootID: "boot", Active: true, SelfFence: fence}))
			if without {
				must(t, os.Rename(socket, socket+".away"))
				defer func() { _ = os.Rename(socket+".away", socket) }()
			}
			types := resourcetype.NewRegistry()
			types.Register(genericservice.Name, genericservice.New())
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- guardian.Run(ctx, guardian.Options{
					RunDir: runDir, CgroupRoot: inst.CgroupRoot, Types: types, Log: testr.New(t),
					Stuck: func(left []monitor.Leftover) { t.Errorf("the host would be fenced: %+v", left) },
				})
			}()
			guest.Eventually(t, "the guardian to stop everything", func() bool { left, _ := store.Resources(); return len(left) == 0 })
			took := runstate.BootTime() - end
			if pids := ofUnit(t, unit); len(pids) != 0 || took > fence {
				t.Errorf("%v after the end of the lease processes %v are left, want none within %v", took, pids, fence)
			}
			t.Logf("dead %v after the end of the lease, of which %v are the guardian's patience", took, fence/4)
			cancel()
			must(t, <-done)
			time.Sleep(2 * time.Second)
			if pids := ofUnit(t, unit); len(pids) != 0 {
				t.Errorf("%v have come back", pids)
			}
			if without {
				must(t, os.Rename(socket+".away", socket))
			}
			// The next start on this host begins as if nothing had been.
			next := instance(t, unit)
			must(t, genericservice.New().Online(t.Context(), next))
			must(t, genericservice.New().Terminate(t.Context(), next))
		})
	}
}
