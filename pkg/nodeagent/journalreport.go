package nodeagent

import (
	"context"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/runstate"
	"github.com/quorate/quorate/pkg/snapshot"
)

// newJournal wires the journal of this agent.
func (a *agent) newJournal() *journal {
	j := &journal{
		log: a.log.WithName("journal"), now: runstate.BootTime, nodeName: a.opts.Node, cluster: a.opts.Cluster, boot: a.wall,
		store: &journalStore{path: a.files.journalPath(), write: writeDurably}, standing: a.core.standing, acting: a.lease.acting,
		objects: a.apiObjects, begun: func(s *standing) bool { return a.keeper.hasBegun(s.Self.Generation) },
		report: a.journalReport, say: a.core.setPending, problems: a.problems,
		changed: func() {
			a.keeper.touch(nil)
			a.powerFencer.wakeUp()
			a.note()
		},
	}
	j.store.failed = j.notWritten
	return j
}

// apiObjects are what the API server shows; empty before it was ever reached.
func (a *agent) apiObjects(ctx context.Context) (*snapshot.Objects, error) {
	w := a.shown()
	if w == nil {
		return &snapshot.Objects{Name: a.opts.Cluster}, nil
	}
	return objectsOf(ctx, w, a.opts.Cluster)
}

// journalReport is what this agent would write to the API server: its own status without the view, and the statuses of the resources that
// it may speak of (S5). before is what it has said, and is brought up to date.
func (a *agent) journalReport(before map[string]v1alpha1.ResourceStatus) *autonomy.Report {
	o := a.observe()
	o.reports = a.monitor.Reports()
	sortReports(o.reports)
	r := &autonomy.Report{Agent: agentStatus(o)}
	r.Agent.View, r.Agent.Journal = nil, nil
	for i := range o.reports {
		report := &o.reports[i]
		for at := range report.Resources {
			resource := &report.Resources[at]
			said := before[resource.UID]
			epoch := a.publisher.epochOf(report, &said)
			if epoch == 0 {
				continue
			}
			generation := said.ObservedGeneration
			if applied, known := a.keeper.appliedTo(report.Group.UID); known && applied.generations[resource.UID] != 0 {
				generation = applied.generations[resource.UID]
			}
			status := resourceStatus(resource, report.Group.Name, a.opts.Node, epoch, generation, a.wall, &said)
			before[resource.UID] = status
			r.Resources = append(r.Resources, autonomy.ResourceReport{UID: resource.UID, Status: status})
		}
	}
	return r
}
