package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
)

// eachAnswer visits the addresses of groups that somebody has asked for.
func (s *scene) eachAnswer(visit func(*groupScene, *v1alpha1.Resource, *Answer)) {
	for _, g := range s.groups {
		for _, r := range g.resources {
			ip := AddressOf(&r.Spec)
			i := slices.IndexFunc(s.Answers, func(a Answer) bool { return a.IP == ip })
			if ip != "" && i >= 0 {
				visit(g, r, &s.Answers[i])
			}
		}
	}
}

// who names the host of a hardware address, if its facts tell.
func (s *scene) who(mac string) string {
	for _, h := range s.Hosts {
		if slices.ContainsFunc(h.Addresses, func(a Address) bool { return a.MAC == mac }) {
			return h.Node
		}
	}
	return "an unknown machine"
}

func (s *scene) answered(a *Answer) Evidence {
	var who []string
	for _, mac := range a.MACs {
		who = append(who, fmt.Sprintf("%s (%s)", mac, s.who(mac)))
	}
	return Evidence{Time: a.At, Source: SourceAddresses, Fact: fmt.Sprintf("asked for %s by %s, answered by %s", a.IP, a.From, strings.Join(who, " and "))}
}

// answersTwice is S1 for clients: two machines answer for one address, both asked twice. It needs no second look: an address that is
// handed over is silent in between. It does not need the API either.
func answersTwice(s *scene) []suspicion {
	object, owner := map[string]string{}, map[string]string{}
	s.eachAnswer(func(g *groupScene, r *v1alpha1.Resource, a *Answer) {
		object[a.IP], owner[a.IP] = resourceObject(r), fmt.Sprintf("group %s is %s", g.key, g.owner())
	})
	var all []suspicion
	for i := range s.Answers {
		a := &s.Answers[i]
		if len(a.MACs) < 2 {
			continue
		}
		evidence := []Evidence{s.answered(a)}
		if owner[a.IP] != "" {
			evidence = append(evidence, s.fromAPI("%s", owner[a.IP]))
		}
		all = append(all, s.suspect("S1", orUnknown(object[a.IP], "Address "+a.IP), "answers "+strings.Join(a.MACs, " "),
			fmt.Sprintf("%d machines answer for address %s", len(a.MACs), a.IP),
			"Remove the address from the machine that does not own its group", evidence...).once())
	}
	return all
}

// answersElsewhere is S1 for clients: the one machine that answers for an address is not the owner's.
func answersElsewhere(s *scene) []suspicion {
	var all []suspicion
	s.eachAnswer(func(g *groupScene, r *v1alpha1.Resource, a *Answer) {
		owner := s.host(g.assigned.Node)
		if len(a.MACs) != 1 || g.releasing(s.who(a.MACs[0])) {
			return
		}
		isOwners := owner != nil && slices.ContainsFunc(owner.Addresses, func(o Address) bool { return o.MAC == a.MACs[0] })
		if isOwners || owner == nil && g.assigned.Node != "" {
			return // which machine the owner is, is not known
		}
		all = append(all, s.suspect("S1", resourceObject(r), fmt.Sprint("elsewhere ", a.MACs[0], g.assigned.Epoch),
			fmt.Sprintf("address %s is answered for by %s (%s), which does not own it", a.IP, a.MACs[0], s.who(a.MACs[0])),
			"Remove the address from that machine; the group is "+g.owner(),
			s.answered(a), s.fromAPI("group %s is %s", g.key, g.owner())).within(s.stopGrace()))
	})
	return all
}
