package monitor

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/runstate"
)

// translate turns an assignment into the machine's words.
func (g *group) translate(d GroupDesired) (lifecycle.Desired, error) {
	wants := lifecycle.Desired{Run: d.Run, Epoch: d.Epoch, View: d.View, Unproven: d.Unproven, Frozen: d.Frozen}
	if !d.Run {
		return wants, nil
	}
	types := g.monitor.opts.Types
	for _, r := range d.Resources {
		spec := lifecycle.Resource{
			UID: r.Resource.UID, Name: r.Resource.Name, Online: r.Online, DependsOn: r.DependsOn, Timing: r.Timing.WithDefaults(),
		}
		var err error
		switch types.Kind(r.Type) {
		case resourcetype.KindDisk:
			spec.Kind = lifecycle.KindDisk
			if spec.Device, err = g.device(r); err != nil {
				// It cannot be reserved either, and says so then; its place in the order does not matter.
				spec.Device = r.Resource.Name
			}
		case resourcetype.KindAddress:
			spec.Kind = lifecycle.KindAddress
		case resourcetype.KindProcess:
			spec.Kind, spec.Exposed = lifecycle.KindProcess, types.Exposed(r.Type, r.Spec)
		}
		if spec.Fingerprint, err = lifecycle.Fingerprint(r.Type, r.Spec, r.NetworkName); err != nil {
			return wants, fmt.Errorf("resource %s: %w", r.Resource, err)
		}
		if spec.Tuning, err = lifecycle.Tuning(r.Spec); err != nil {
			return wants, fmt.Errorf("resource %s: %w", r.Resource, err)
		}
		wants.Resources = append(wants.Resources, spec)
	}
	return wants, nil
}

func (g *group) device(r ResourceDesired) (string, error) {
	t, err := g.monitor.opts.Types.Get(r.Type)
	if err != nil {
		return "", err
	}
	reserver, ok := t.(resourcetype.Reserver)
	if !ok {
		return "", fmt.Errorf("type %s reserves nothing", r.Type)
	}
	return reserver.Device(&resourcetype.Instance{Type: r.Type, Resource: r.Resource, Group: g.id, Spec: r.Spec, Log: g.monitor.opts.Log})
}

// renewRecord gives a resource that is about to be reserved or started its spec as it is wanted now. One that is online keeps the
// spec with which it was started: that is what must be stopped.
func (g *group) renewRecord(uid string, op lifecycle.Op) {
	i := slices.IndexFunc(g.desired.Resources, func(r ResourceDesired) bool { return r.Resource.UID == uid })
	if i < 0 {
		return
	}
	r := g.resources[uid]
	if r == nil {
		r = &resource{}
		g.resources[uid] = r
	}
	r.dirty = true
	if r.record.Machine.Phase == lifecycle.PhaseOnline && op == lifecycle.OpReserve {
		return
	}
	d := g.desired.Resources[i]
	r.record.Resource, r.record.Group, r.record.Type = d.Resource, g.id, d.Type
	r.record.FailToken = d.FailToken
	r.record.Spec, r.record.Networks, r.record.NetworkName, r.record.Addresses = d.Spec, g.desired.Networks, d.NetworkName, d.Addresses
	r.record.Disks = d.Disks
	r.record.DependsOn = nil
	for _, dependency := range d.DependsOn {
		for _, other := range g.desired.Resources {
			if slices.Contains(dependency.AnyOf, other.Resource.Name) {
				r.record.DependsOn = append(r.record.DependsOn, other.Resource.UID)
			}
		}
	}
}

// retune gives a resource that is online the spec as it is wanted now, if it differs in nothing but what is taken over in place.
func (g *group) retune(r *resource) {
	i := slices.IndexFunc(g.desired.Resources, func(d ResourceDesired) bool { return d.Resource.UID == r.record.Resource.UID })
	if i < 0 || !g.desired.Run {
		return
	}
	d := g.desired.Resources[i]
	before, err1 := lifecycle.Fingerprint(r.record.Type, r.record.Spec, r.record.NetworkName)
	now, err2 := lifecycle.Fingerprint(d.Type, d.Spec, d.NetworkName)
	tuned, err3 := lifecycle.Tuning(r.record.Spec)
	tuning, err4 := lifecycle.Tuning(d.Spec)
	if errors.Join(err1, err2, err3, err4) != nil || before != now || tuned == tuning {
		return
	}
	g.monitor.opts.Log.Info("parameters are taken over while the resource is online", "group", g.id.String(), "resource", d.Resource.Name)
	r.record.Spec, r.dirty = d.Spec, true
	// A record that cannot be written now is written with the next change; until then an agent that restarts takes them over again.
	if err := g.monitor.opts.Store.PutResource(&r.record); err != nil {
		g.monitor.opts.Log.Error(err, "keeping the parameters", "resource", d.Resource.Name)
	}
}

// persist writes what has changed since the last time.
func (g *group) persist() error {
	opts := g.monitor.identity()
	savedGroup, savedResources := g.machine.Saved()
	var failed error
	for uid, saved := range savedResources {
		r := g.resources[uid]
		if r == nil {
			continue // it has failed before anything of it was started: the group's machine remembers until the agent ends
		}
		if r.written && !r.dirty && r.record.Epoch == g.machine.Epoch() && reflect.DeepEqual(r.record.Machine, saved) {
			continue
		}
		r.record.Machine = saved
		r.record.Epoch = g.machine.Epoch()
		r.record.Cluster, r.record.ClusterID, r.record.NodeName = opts.Cluster, opts.ClusterID, opts.NodeName
		r.record.Node, r.record.Generation, r.record.BootID = opts.Node, g.report.Generation, opts.BootID
		if err := opts.Store.PutResource(&r.record); err != nil {
			r.dirty = true // or the next look would take it for written
			failed = errors.Join(failed, err)
			continue
		}
		r.written, r.dirty = true, false
	}
	for uid, r := range g.resources {
		if _, kept := savedResources[uid]; kept || !r.written {
			continue
		}
		if err := opts.Store.DeleteResource(uid); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		delete(g.resources, uid)
		if hosts := g.monitor.opts.Hosts; hosts != nil {
			hosts.Release(uid)
		}
	}
	if g.saved == nil || !reflect.DeepEqual(*g.saved, savedGroup) {
		record := runstate.Group{
			Group: g.id, Generation: g.report.Generation, BootID: opts.BootID, Machine: savedGroup, Desired: g.raw,
		}
		if err := opts.Store.PutGroup(&record); err != nil {
			return errors.Join(failed, err)
		}
		g.saved = &savedGroup
	}
	return failed
}
