package whatif

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Reasons of a change within a group that is online.
const (
	reasonParameters = "ParametersChanged"
	reasonInPlace    = "ParametersTakenOver"
	reasonDeleted    = "ResourceDeleted"
	reasonLeaves     = "ResourceMoved"
)

// changed tells what an edit does to resources that are online, by the rule of the agents (lifecycle.Fingerprint and Tuning): other parameters
// start a resource anew, or are taken over in place, one that is deleted or moved to another group goes offline, each with all that depends on it. The rest of the group goes on.
func (w *World) changed(before []*v1alpha1.Resource) {
	for _, old := range before {
		g := w.Group(snapshot.GroupKeyOf(old))
		if g == nil {
			continue
		}
		reason, what := w.changeOf(old)
		if reason == "" {
			continue
		}
		sentence := "resource " + old.Name + " " + what
		if dependents := dependentsOf(old, before); len(dependents) > 0 && reason != reasonInPlace {
			verb := "depends"
			if len(dependents) > 1 {
				verb = "depend"
			}
			sentence += ", and with it " + strings.Join(dependents, ", ") + ", which " + verb + " on it"
		}
		for _, h := range w.runners(g) {
			if state, _ := stateOn(g, old, h); state == v1alpha1.ResourceOnline {
				w.step.actions = append(w.step.actions, Action{
					Group: snapshot.Key(g).String(), Action: Change, From: h.name, To: h.name, Reason: reason, Message: sentence,
				})
			}
		}
	}
}

// changeOf says what becomes of a resource; nothing when it runs on as it is.
func (w *World) changeOf(old *v1alpha1.Resource) (reason, what string) {
	i := slices.IndexFunc(w.objects.Resources, func(r *v1alpha1.Resource) bool { return named(r) == named(old) })
	if i < 0 {
		return reasonDeleted, "is deleted and goes offline first"
	}
	now := w.objects.Resources[i]
	switch {
	case now.Spec.GroupName != old.Spec.GroupName:
		return reasonLeaves, fmt.Sprintf("goes to group %s and is offline here first", now.Spec.GroupName)
	case fingerprintOf(now) != fingerprintOf(old):
		return reasonParameters, "has other parameters and is started anew"
	case tuningOf(now) != tuningOf(old):
		return reasonInPlace, "takes its new parameters over and runs on"
	}
	return "", ""
}

// fingerprintOf leaves out the virtual server's name: what has it depends on the NetworkName, and is started anew with that.
func fingerprintOf(r *v1alpha1.Resource) string {
	spec, err := json.Marshal(r.Spec)
	if err != nil {
		return err.Error()
	}
	print, err := lifecycle.Fingerprint(string(r.Spec.Type), spec, "")
	if err != nil {
		return err.Error()
	}
	return print
}

func tuningOf(r *v1alpha1.Resource) string {
	spec, err := json.Marshal(r.Spec)
	if err != nil {
		return err.Error()
	}
	tuning, err := lifecycle.Tuning(spec)
	if err != nil {
		return err.Error()
	}
	return tuning
}

// dependentsOf are the names of the resources of the group that need the given one, directly or through others; one that another resource can
// stand in for (anyOf) does not count.
func dependentsOf(r *v1alpha1.Resource, all []*v1alpha1.Resource) []string {
	needed := map[string]bool{r.Name: true}
	var names []string
	for grown := true; grown; {
		grown = false
		for _, other := range all {
			if needed[other.Name] || snapshot.GroupKeyOf(other) != snapshot.GroupKeyOf(r) {
				continue
			}
			if slices.ContainsFunc(other.Spec.DependsOn, func(d v1alpha1.Dependency) bool {
				return d.Name != "" && needed[d.Name] || len(d.AnyOf) > 0 && !slices.ContainsFunc(d.AnyOf, func(n string) bool { return !needed[n] })
			}) {
				needed[other.Name], grown = true, true
				names = append(names, other.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}
