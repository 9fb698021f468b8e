package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/reservation"
	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/disk"
	"github.com/quorate/quorate/pkg/witness/fileshare"
	leasewitness "github.com/quorate/quorate/pkg/witness/lease"
)

// hungWitnesses bounds the calls to witnesses that may hang in the kernel at a time.
const hungWitnesses = 4

// WitnessSettings is a witness as the QuorumConfig names it. Exactly one of Device, Path and Lease is set.
type WitnessSettings struct {
	// Device of a disk witness.
	Device string `json:"device,omitempty"`
	// Path of the directory of a file-share witness.
	Path string `json:"path,omitempty"`
	// Namespace and Lease name a Lease on the API server that Kubeconfig reaches.
	Namespace  string `json:"namespace,omitempty"`
	Lease      string `json:"lease,omitempty"`
	Kubeconfig []byte `json:"kubeconfig,omitempty"`
}

// String names it for messages.
func (w *WitnessSettings) String() string {
	switch {
	case w.Device != "":
		return "disk " + w.Device
	case w.Path != "":
		return "file share " + w.Path
	default:
		return "Lease " + w.Namespace + "/" + w.Lease
	}
}

// id tells configured witnesses apart; the credential does not count, since a new one makes no other witness.
func (w *WitnessSettings) id() uint32 {
	if w == nil {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(w.String())) // a hash never fails
	return max(1, h.Sum32())
}

// witnessFrom reads a QuorumConfig; kubeconfig is the content of the Secret that a Lease witness names.
func witnessFrom(q *v1alpha1.QuorumConfig, kubeconfig []byte) (w *WitnessSettings, only bool) {
	if q == nil || q.Spec.Witness == nil || q.Spec.Mode == "" || q.Spec.Mode == v1alpha1.QuorumNodeMajority {
		return nil, false
	}
	switch s := q.Spec.Witness; {
	case s.Disk != nil:
		return &WitnessSettings{Device: s.Disk.Device}, q.Spec.Mode == v1alpha1.QuorumDiskOnly
	case s.FileShare != nil:
		return &WitnessSettings{Path: s.FileShare.Path}, false
	case s.Lease != nil:
		return &WitnessSettings{Namespace: s.Lease.Namespace, Lease: s.Lease.Name, Kubeconfig: kubeconfig}, false
	}
	return nil, false
}

// keepWitnesses keeps a witness that is configured no more as long as a vote record names it: it is held until another record is in
// force, so that a change makes no gap.
func (s *Settings) keepWitnesses(before *Settings, now *standing) {
	if before == nil {
		return
	}
	earlier := before.EarlierWitnesses
	if before.Witness != nil {
		earlier = append(slices.Clone(earlier), *before.Witness)
	}
	for _, w := range earlier {
		named := now.Committed != nil && membership.ConfiguredWitness(now.Committed.Witness) == w.id() ||
			now.Tentative != nil && membership.ConfiguredWitness(now.Tentative.Witness) == w.id()
		known := func(o WitnessSettings) bool { return o.id() == w.id() }
		if named && w.id() != s.Witness.id() && !slices.ContainsFunc(s.EarlierWitnesses, known) {
			s.EarlierWitnesses = append(s.EarlierWitnesses, w)
		}
	}
}

// witnessName names the witness with a configured id; "" for one that is not known.
func (s *Settings) witnessName(id uint32) string {
	for _, known := range s.EarlierWitnesses {
		if known.id() == id {
			return known.String()
		}
	}
	if s.Witness != nil && s.Witness.id() == id {
		return s.Witness.String()
	}
	return ""
}

// witnessConfig is the machine's part of the settings.
func (s *Settings) witnessConfig() membership.WitnessConfig {
	c := membership.WitnessConfig{ID: s.Witness.id(), Only: s.WitnessOnly}
	for i := range s.EarlierWitnesses {
		c.Earlier = append(c.Earlier, s.EarlierWitnesses[i].id())
	}
	return c
}

// witnesses carries out the machine's operations on witnesses. It belongs to core's loop and never blocks it.
type witnesses struct {
	log   logr.Logger
	guard *witness.Guard
	open  map[uint32]*openWitness
	// copier keeps the copy of the cluster's state that goes with the records; nil until the agent has opened its run state.
	copier atomic.Pointer[copier]
}

type openWitness struct {
	settings WitnessSettings
	cluster  uint64
	async    *witness.Async
}

func newWitnesses(log logr.Logger) *witnesses {
	return &witnesses{log: log, guard: witness.NewGuard(hungWitnesses), open: map[uint32]*openWitness{}}
}

// configure opens what the settings name and closes all else.
func (w *witnesses) configure(s *Settings) error {
	cluster, err := s.clusterID()
	if err != nil {
		return err
	}
	wanted := slices.Clone(s.EarlierWitnesses)
	if s.Witness != nil {
		wanted = append(wanted, *s.Witness)
	}
	for id, o := range w.open {
		same := func(n WitnessSettings) bool {
			return n.id() == id && slices.Equal(n.Kubeconfig, o.settings.Kubeconfig) && o.cluster == cluster
		}
		if !slices.ContainsFunc(wanted, same) {
			o.async.Close()
			delete(w.open, id)
		}
	}
	for _, n := range wanted {
		if w.open[n.id()] == nil {
			open := func(ctx context.Context) (witness.Device, error) { return openDevice(ctx, n, cluster, s.NodeName) }
			w.open[n.id()] = &openWitness{settings: n, cluster: cluster, async: witness.NewAsync(w.guard, n.String(), open)}
		}
	}
	return nil
}

func openDevice(ctx context.Context, s WitnessSettings, cluster uint64, node string) (witness.Device, error) {
	switch {
	case s.Device != "":
		return disk.Open(ctx, disk.Options{Device: s.Device, Cluster: cluster, Nexus: node})
	case s.Path != "":
		return fileshare.Open(ctx, fileshare.Options{Path: s.Path, Cluster: cluster})
	default:
		return leasewitness.Open(ctx, leasewitness.Options{Kubeconfig: s.Kubeconfig, Namespace: s.Namespace, Name: s.Lease, Cluster: cluster})
	}
}

// close gives all witnesses back; their registrations stay, as they are the challenge.
func (w *witnesses) close() {
	for id, o := range w.open {
		o.async.Close()
		delete(w.open, id)
	}
}

// begin carries out one operation and calls done, in another goroutine, when it has ended or its time is over.
func (w *witnesses) begin(ctx context.Context, op membership.WitnessOp, limit time.Duration, done func(membership.WitnessResult)) {
	o := w.open[op.Witness]
	if o == nil {
		go done(membership.WitnessResult{Serial: op.Serial, Err: "the witness is not configured on this host any more"})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	result := membership.WitnessResult{Serial: op.Serial}
	act := &witnessAct{op: op, cluster: o.cluster, copier: w.copier.Load()}
	o.async.Do(ctx, act.run, func(err error) {
		defer cancel()
		switch {
		case err == nil:
			result = act.result
			result.Serial = op.Serial
		case errors.Is(err, witness.ErrConflict):
			result.Conflict = true
		default:
			result.Err = err.Error()
		}
		done(result)
	})
}

// witnessAct is one operation, from the machine's words into the device's and back.
type witnessAct struct {
	op      membership.WitnessOp
	cluster uint64
	copier  *copier
	// result is what it has found; it is looked at only after run has returned nil.
	result membership.WitnessResult
}

func (a *witnessAct) run(ctx context.Context, d witness.Device) error {
	me, err := witnessKey(a.cluster, a.op.Me)
	if err != nil {
		return err
	}
	switch a.op.Act {
	case membership.WitnessLook:
		return a.look(ctx, d, me)
	case membership.WitnessRegister:
		return d.Register(ctx, me)
	case membership.WitnessRemove:
		victims := make([]reservation.Key, 0, len(a.op.Victims))
		for _, v := range a.op.Victims {
			victim, err := witnessKey(a.cluster, v)
			if err != nil {
				return err
			}
			victims = append(victims, victim)
		}
		return d.Remove(ctx, me, victims...)
	case membership.WitnessTake:
		holder, err := witnessKey(a.cluster, a.op.Victim)
		if err != nil {
			return err
		}
		return d.Take(ctx, me, holder)
	case membership.WitnessRelease:
		return d.Release(ctx, me)
	case membership.WitnessLoad:
		return a.load(ctx, d)
	case membership.WitnessSave:
		return a.save(ctx, d, me)
	}
	return fmt.Errorf("unknown operation %q on a witness", a.op.Act)
}

func (a *witnessAct) look(ctx context.Context, d witness.Device, me reservation.Key) error {
	st, err := d.Look(ctx, me)
	if err != nil {
		return err
	}
	if st.ID != 0 {
		a.result.Identity = max(1, uint32(st.ID)^uint32(st.ID>>32))
	}
	a.result.Holder = holderOf(st.Holder)
	for _, k := range st.Keys {
		a.result.Registered = append(a.result.Registered, holderOf(k))
	}
	return nil
}

func (a *witnessAct) load(ctx context.Context, d witness.Device) error {
	c, err := d.Load(ctx)
	if err != nil {
		return err
	}
	a.result.Content = membership.WitnessContent{View: c.View, Committed: c.Committed, Tentative: c.Tentative, State: c.StateVersion}
	if a.copier == nil {
		return errors.New("this agent is starting and cannot take over yet what the witness keeps")
	}
	return a.copier.read(ctx, &c)
}

func (a *witnessAct) save(ctx context.Context, d witness.Device, me reservation.Key) error {
	c := witness.Content{
		ClusterID: a.cluster, View: a.op.Content.View, Committed: a.op.Content.Committed, Tentative: a.op.Content.Tentative,
	}
	if a.copier != nil && a.op.Content.State > 0 {
		c.State, c.StateVersion = a.copier.state()
	}
	if err := d.Save(ctx, me, c); err != nil {
		return err
	}
	if len(c.State) > 0 {
		a.copier.saved(c.StateVersion)
	}
	return nil
}

// witnessKey is the reservation key of a node's incarnation; 0 for nobody.
func witnessKey(cluster uint64, k membership.WitnessKey) (reservation.Key, error) {
	if k == (membership.WitnessKey{}) {
		return 0, nil
	}
	return reservation.NewKey(uint32(cluster>>40), k.Node, model.Epoch(k.Incarnation))
}

func holderOf(k reservation.Key) membership.WitnessKey {
	if k == 0 {
		return membership.WitnessKey{}
	}
	return membership.WitnessKey{Node: k.Node(), Incarnation: uint32(k.Epoch())}
}
