package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
)

// Reaper terminates resources from their records alone. It is shared by the agent's clean-up and the guardian.
type Reaper struct {
	Types      *resourcetype.Registry
	Store      *runstate.Store
	CgroupRoot string
	RunDir     string
	// Ordered is how long a resource waits for those that use it to be gone before it is terminated all the same.
	Ordered time.Duration
	Log     logr.Logger
}

// reapRetry is how soon a Terminate that failed is tried again.
const reapRetry = 20 * time.Millisecond

// Reap terminates what the records stand for, users before what they use and independent ones in parallel, again and again until
// ctx ends, and deletes the records of what is gone. It returns what is left.
func (r *Reaper) Reap(ctx context.Context, records []*runstate.Resource) []Leftover {
	gone := make(map[string]chan struct{}, len(records))
	users := map[string][]string{}
	for _, record := range records {
		gone[record.Resource.UID] = make(chan struct{})
		for _, used := range record.DependsOn {
			users[used] = append(users[used], record.Resource.UID)
		}
	}
	var mu sync.Mutex
	var left []Leftover
	var wait sync.WaitGroup
	for _, record := range records {
		wait.Go(func() {
			r.waitForUsers(ctx, users[record.Resource.UID], gone)
			if err := r.terminate(ctx, record); err != nil {
				mu.Lock()
				left = append(left, Leftover{Group: record.Group, Resource: record.Resource, Type: record.Type, Message: err.Error()})
				mu.Unlock()
				return
			}
			close(gone[record.Resource.UID])
		})
	}
	wait.Wait()
	return left
}

func (r *Reaper) waitForUsers(ctx context.Context, users []string, gone map[string]chan struct{}) {
	patience := time.NewTimer(r.Ordered)
	defer patience.Stop()
	for _, user := range users { // they all have records, from which the list was made
		select {
		case <-gone[user]:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// terminate tries until it succeeds or ctx ends. A Terminate that hangs past ctx is left behind.
func (r *Reaper) terminate(ctx context.Context, record *runstate.Resource) error {
	if record.Live() {
		t, err := r.Types.Get(record.Type)
		if err != nil {
			return err
		}
		for {
			err := r.once(ctx, t, record)
			if err == nil {
				break
			}
			r.Log.Info("terminating a resource failed", "resource", record.Resource.String(), "type", record.Type, "error", err.Error())
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w; the last attempt: %w", ctx.Err(), err)
			case <-time.After(reapRetry):
			}
		}
	}
	return r.Store.DeleteResource(record.Resource.UID)
}

func (r *Reaper) once(ctx context.Context, t resourcetype.Type, record *runstate.Resource) error {
	inst := instanceOf(record)
	inst.CgroupRoot, inst.RunDir = r.CgroupRoot, r.RunDir
	inst.Log = r.Log.WithValues("resource", record.Resource.String(), "type", record.Type)
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("the resource type %s panicked: %v", record.Type, p)
			}
		}()
		done <- t.Terminate(ctx, inst)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("terminating it has not returned")
	}
}

// instanceOf is the instance that a record stands for.
func instanceOf(record *runstate.Resource) *resourcetype.Instance {
	return &resourcetype.Instance{
		Type: record.Type, Resource: record.Resource, Group: record.Group,
		Cluster: record.Cluster, ClusterID: record.ClusterID,
		NodeName: record.NodeName, Node: record.Node, Generation: record.Generation, Epoch: record.Epoch,
		Spec: record.Spec, Data: append(json.RawMessage(nil), record.Data...),
		Networks: record.Networks, NetworkName: record.NetworkName, Addresses: record.Addresses,
		Disks: record.Disks,
	}
}
