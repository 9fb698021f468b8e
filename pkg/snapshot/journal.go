package snapshot

import "github.com/quorate/quorate/api/v1alpha1"

// JournalPending says that a member of the last view goes by what was decided without the API server: that is written here before
// anything new is decided.
func (o *Objects) JournalPending() bool {
	return o.anyMember(func(j *v1alpha1.AgentJournal) bool { return j.Pending })
}

// JournalLost says that a member does not know all of what was decided without the API server: a node outside the view that has not
// reported since may have run anything (O6).
func (o *Objects) JournalLost() bool {
	return o.anyMember(func(j *v1alpha1.AgentJournal) bool { return j.Lost })
}

// JournalPage is the page that the reporter of the last view has published, with its token; empty when it has none.
func (o *Objects) JournalPage() (page []byte, token string) {
	_, reporter := o.Published()
	if reporter == nil || reporter.Status.Agent.Journal == nil {
		return nil, ""
	}
	return reporter.Status.Agent.Journal.Page, reporter.Status.Agent.Journal.Token
}

// anyMember reports whether the condition holds for the journal of a node that is in the last view in the life in which it reports.
func (o *Objects) anyMember(condition func(*v1alpha1.AgentJournal) bool) bool {
	published, _ := o.Published()
	if published == nil {
		return false
	}
	for _, n := range o.Nodes {
		agent := n.Status.Agent
		if agent == nil || agent.Journal == nil || !condition(agent.Journal) {
			continue
		}
		for _, m := range published.Members {
			if m.ID == n.Status.ID && m.Generation == agent.Generation {
				return true
			}
		}
	}
	return false
}
