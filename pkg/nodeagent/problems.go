package nodeagent

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/monitor"
)

// Reasons of problems that only agents know; the others are constants of the API.
const (
	problemLeftover   = v1alpha1.ProblemCannotBeStopped
	problemStateFiles = "StateNotWritable"
	problemNoCluster  = "ClusterNotFound"
	problemNodeID     = "NodeIDChanged"
	problemKubeconfig = "NoWitnessKubeconfig"
	problemSettings   = "SettingsNotUsable"
	problemBacklog    = "StatusNotWritten"
	problemEverything = ""
	maxProblems       = 64
	maxProblemText    = 1024
	maxProblemObject  = 256
	forgeryIsRecent   = 15 * time.Second
)

// problems gathers what the agent cannot do, by the part of it that found out: each part replaces what it said before.
type problems struct {
	changed func()

	mu     sync.Mutex
	byPart map[string][]v1alpha1.AgentProblem
}

func newProblems(changed func()) *problems {
	return &problems{changed: changed, byPart: map[string][]v1alpha1.AgentProblem{}}
}

func (p *problems) set(part string, list []v1alpha1.AgentProblem) {
	p.mu.Lock()
	same := slices.Equal(p.byPart[part], list)
	p.byPart[part] = list
	p.mu.Unlock()
	if !same {
		p.changed()
	}
}

// one is set for a part that has at most one problem; an empty message is none.
func (p *problems) one(part, object, message string) {
	if message == "" {
		p.set(part, nil)
		return
	}
	p.set(part, []v1alpha1.AgentProblem{{Reason: part, Object: object, Message: message}})
}

// list returns all problems within the bounds of the API, in a stable order, one for each reason and object.
func (p *problems) list() []v1alpha1.AgentProblem {
	p.mu.Lock()
	defer p.mu.Unlock()
	byKey := map[string]v1alpha1.AgentProblem{}
	for _, part := range slices.Sorted(maps.Keys(p.byPart)) {
		for _, problem := range p.byPart[part] {
			problem.Message = cut(problem.Message, maxProblemText)
			problem.Object = cut(problem.Object, maxProblemObject)
			byKey[problem.Reason+"\x00"+problem.Object] = problem
		}
	}
	list := slices.SortedFunc(maps.Values(byKey), func(a, b v1alpha1.AgentProblem) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Object, b.Object))
	})
	return list[:min(len(list), maxProblems)]
}

// cut shortens a text to a number of bytes without breaking a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	runes := []rune(text[:limit-3])
	if len(runes) > 0 && runes[len(runes)-1] == '\uFFFD' {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}

func leftoverProblems(left []monitor.Leftover) []v1alpha1.AgentProblem {
	var list []v1alpha1.AgentProblem
	for _, l := range left {
		if l.Unreadable {
			list = append(list, v1alpha1.AgentProblem{
				Reason: problemLeftover, Message: l.Message + "; look at the host for what it stood for, then remove the file",
			})
			continue
		}
		list = append(list, v1alpha1.AgentProblem{
			Reason: problemLeftover, Object: l.Resource.String(),
			Message: fmt.Sprintf("%s of group %s belongs to an earlier life of this node and is still there: %s; "+
				"the node takes part again when it is gone", l.Resource, l.Group, l.Message),
		})
	}
	return list
}

// standingProblems are what core cannot do, and what the heartbeats of others tell.
func standingProblems(s *standing, now time.Duration) []v1alpha1.AgentProblem {
	var list []v1alpha1.AgentProblem
	if s.Trouble != "" {
		list = append(list, v1alpha1.AgentProblem{
			Reason: problemStateFiles, Message: "no heartbeats are sent: " + s.Trouble,
		})
	}
	for _, network := range slices.Sorted(maps.Keys(s.Listening)) {
		if !s.Listening[network] {
			list = append(list, v1alpha1.AgentProblem{
				Reason: v1alpha1.ProblemMissingAddress, Object: network,
				Message: "no interface of this host has the address that the Node names for the network; no heartbeats there",
			})
		}
	}
	for _, d := range s.Heartbeat.Drops {
		if d.Count == 0 || now-d.LastAt > forgeryIsRecent {
			continue
		}
		switch d.Reason {
		case "Forged":
			list = append(list, v1alpha1.AgentProblem{
				Reason: v1alpha1.ProblemWrongKey, Object: d.LastFrom,
				Message: "heartbeats from this address on network " + d.Network + " are signed with another key: " +
					"this host or that one does not have the key of the Cluster's keySecretRef",
			})
		case "OtherCluster":
			list = append(list, v1alpha1.AgentProblem{
				Reason: v1alpha1.ProblemWrongCluster, Object: d.LastFrom,
				Message: "heartbeats from this address on network " + d.Network + " are those of a cluster with another id",
			})
		}
	}
	return append(append(list, speechProblems(s)...), witnessProblems(s, now)...)
}

// witnessPatience is how long the witness may fail before it is a problem that is shown.
const witnessPatience = 3 * time.Second

// witnessProblems say why this node cannot use the witness. Arbitration goes on trying.
func witnessProblems(s *standing, now time.Duration) []v1alpha1.AgentProblem {
	w := s.Witness
	if s.Settings == nil || w.ID == 0 {
		return nil
	}
	name := s.Settings.witnessName(w.ID)
	switch {
	case w.FailingSince != 0 && now-w.FailingSince > witnessPatience:
		return []v1alpha1.AgentProblem{{Reason: v1alpha1.ProblemWitness, Object: name, Message: w.Trouble}}
	case w.Stranger != 0:
		return []v1alpha1.AgentProblem{{
			Reason: v1alpha1.ProblemWitness, Object: name,
			Message: "what this host finds under that name is not the witness that " + s.Settings.nodeName(w.Stranger) +
				" holds: the name must lead to the same disk, directory or Lease on every host",
		}}
	}
	return nil
}

// speechProblems name the nodes with which this one has no version of the heartbeat protocol in common, or none that can say what
// has to be said. Their heartbeats are not used, and they do not use this node's.
func speechProblems(s *standing) []v1alpha1.AgentProblem {
	var list []v1alpha1.AgentProblem
	for _, p := range s.Speech {
		name := s.Settings.nodeName(p.ID)
		own := heartbeat.Supported
		switch {
		case p.Incompatible():
			older, newer := name, s.Settings.NodeName
			if p.Understood.Lowest > own.Highest {
				older, newer = newer, older
			}
			list = append(list, v1alpha1.AgentProblem{
				Reason: v1alpha1.ProblemOtherVersion, Object: name,
				Message: fmt.Sprintf("the agent of node %s understands version %s of the heartbeat protocol, this one %s: they do not hear "+
					"each other; upgrade the agent of node %s to a release that understands both, or run an older one on node %s",
					name, p.Understood, own, older, newer),
			})
		case p.Unspeakable != "":
			list = append(list, v1alpha1.AgentProblem{
				Reason: v1alpha1.ProblemOtherVersion, Object: name,
				Message: fmt.Sprintf("the agent of node %s understands version %d of the heartbeat protocol only, and that cannot say what "+
					"has to be said (%s): upgrade it", name, p.Version, p.Unspeakable),
			})
		}
	}
	return list
}
