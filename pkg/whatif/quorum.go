package whatif

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
)

// joinedBefore is how long before the start nodes without a status have been up.
const joinedBefore = 24 * time.Hour

// form is the first formation: all that are up are members, all with a vote are voters. A live cluster without a view has none.
func (w *World) form(live bool) {
	if live {
		return
	}
	w.witness = w.configuredWitness() != 0
	w.record = w.wanted(1, 0)
	w.view = model.ViewID{Number: 1, Coordinator: w.coordinator(), Record: 1}
	w.installed = w.now.Add(-joinedBefore)
	w.quorate = w.record.Quorate(w.isUp, w.holdsWitness())
	for i, n := range w.objects.Nodes {
		if n.Status.JoinedAt == nil {
			c := n.DeepCopy()
			c.Status.JoinedAt, c.Status.Joins = &metav1.Time{Time: w.installed.Truncate(time.Second)}, 1
			c.Status.Generation, c.Status.State = int64(w.hostOf(n).generation), v1alpha1.NodeUp
			w.objects.Nodes[i] = c
		}
	}
}

func (w *World) hostOf(n *v1alpha1.Node) *host { return w.host(n.Name) }

// resume goes on with the view that a live cluster has published.
func (w *World) resume(published *v1alpha1.AgentView, reporter *v1alpha1.Node) {
	w.view = model.ViewID{Number: uint64(published.ID.Number), Coordinator: model.NodeID(published.ID.Coordinator)}
	if published.InstalledAt != nil {
		w.installed = published.InstalledAt.Time
	}
	for _, m := range published.Members {
		for _, h := range w.hosts {
			if h.id == model.NodeID(m.ID) {
				h.up, h.reaches, h.generation = true, m.ReachesAPI, model.Generation(m.Generation)
			}
		}
	}
	agent := reporter.Status.Agent
	voters := make([]model.NodeID, 0, len(agent.Voters))
	for _, id := range agent.Voters {
		voters = append(voters, model.NodeID(id))
	}
	w.record = quorum.NewRecord(uint64(max(agent.RecordNumber, 1)), w.view.Coordinator, voters)
	w.record.WitnessOnly, w.record.Forced = agent.WitnessOnly, agent.Forced
	if agent.WitnessVotes {
		w.record.Witness = witnessID
	}
	w.witness = published.WitnessHeld
	if len(voters) == 0 {
		w.record = w.wanted(uint64(published.ID.Number), w.view.Coordinator)
	}
	w.quorate = w.objects.Fresh && w.record.Quorate(w.isUp, w.holdsWitness())
}

// witnessID stands for the configured witness: there is one, and it is never changed for another.
const witnessID = 1

func (w *World) configuredWitness() uint64 {
	if w.objects.Quorum == nil || w.objects.Quorum.Spec.Witness == nil {
		return 0
	}
	return witnessID
}

// holdsWitness says that somebody who is up holds the witness: whoever can reach it takes it.
func (w *World) holdsWitness() bool { return w.witness && w.coordinator() != 0 }

func (w *World) isUp(id model.NodeID) bool {
	for _, h := range w.hosts {
		if h.id == id {
			return h.up
		}
	}
	return false
}

func (w *World) coordinator() model.NodeID {
	var lowest model.NodeID
	for _, h := range w.hosts {
		if h.up && (lowest == 0 || h.id < lowest) {
			lowest = h.id
		}
	}
	return lowest
}

func (w *World) dynamicVotes() bool {
	q := w.objects.Quorum
	return q == nil || q.Spec.DynamicVotes == nil || *q.Spec.DynamicVotes
}

// wanted is the record that the present members should have (R5): those with a vote, without dynamic votes all that are configured
// with one, and the witness if there is one that works.
func (w *World) wanted(number uint64, coordinator model.NodeID) *quorum.Record {
	var voters []model.NodeID
	for _, n := range w.objects.Nodes {
		h := w.hostOf(n)
		if h != nil && (n.Spec.Votes == nil || *n.Spec.Votes > 0) && (h.up || !w.dynamicVotes()) {
			voters = append(voters, h.id)
		}
	}
	r := quorum.NewRecord(number, coordinator, voters)
	if w.witness {
		r.Witness = w.configuredWitness()
		r.WitnessOnly = r.Witness != 0 && w.objects.Quorum.Spec.Mode == v1alpha1.QuorumDiskOnly
	}
	return r
}

// regroup installs the view of those who are up now, if the present votes make them quorate; otherwise quorum is lost, and everyone's
// life with it (R6); when it comes back, those who were up go on in their new ones. The votes follow a view that is installed.
func (w *World) regroup() {
	if w.record == nil {
		return // it was never formed
	}
	if !w.record.Quorate(w.isUp, w.holdsWitness()) {
		if w.quorate {
			w.burn()
		}
		w.quorate = false
		return
	}
	w.quorate = true
	w.view.Number++
	w.view.Coordinator = w.coordinator()
	w.installed = w.now
	next := w.wanted(w.view.Number, w.view.Coordinator)
	if len(next.Voters) > 0 && next.Quorate(w.isUp, w.holdsWitness()) && !next.SameVotes(w.record) {
		w.record = next
	}
	w.view.Record = w.record.Number
}

// burn ends the lives of all that are up: what ran is stopped.
func (w *World) burn() {
	for _, h := range w.hosts {
		if h.up {
			h.begin()
		}
	}
}

// begin starts a new life of the host, with nothing running.
func (h *host) begin() {
	h.generation++
	for _, l := range h.mine {
		l.Begin(h.generation)
	}
}
