package autonomy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Progress is how far a request that was taken has come.
type Progress struct {
	// Done says that what was asked for is reached, Failed that it will not be.
	Done   bool `json:"done"`
	Failed bool `json:"failed,omitempty"`
	// Message says where it stands.
	Message string `json:"message"`
}

// ProgressOf looks how far the request of an entry has come, in the objects as a node goes by them.
func ProgressOf(e *replica.Entry, o *snapshot.Objects) Progress {
	if e.Request.Verb.AboutNode() {
		n := o.Node(e.Name)
		if n == nil || string(n.UID) != e.UID {
			return Progress{Failed: true, Message: "node " + e.Name + " is gone"}
		}
		return ofNode(e, n, o)
	}
	at := slices.IndexFunc(o.Groups, func(g *v1alpha1.ResourceGroup) bool { return string(g.UID) == e.UID })
	if at < 0 {
		return Progress{Failed: true, Message: fmt.Sprintf("group %s/%s is gone", e.Namespace, e.Name)}
	}
	g := o.Groups[at]
	if e.Request.Verb == replica.VerbMove {
		return ofMove(e, g)
	}
	return ofState(e, g)
}

// changedSince says that a field is not as the request left it.
func changedSince(e *replica.Entry, now func(replica.Field) string) (Progress, bool) {
	for _, c := range e.Request.Changes {
		if value := now(c.Field); value != c.To {
			return Progress{Failed: true, Message: fmt.Sprintf("%s was changed since: it is %s now", c.Field, value)}, true
		}
	}
	return Progress{}, false
}

func ofNode(e *replica.Entry, n *v1alpha1.Node, o *snapshot.Objects) Progress {
	if p, changed := changedSince(e, func(f replica.Field) string { return replica.Get(n, f) }); changed {
		return p
	}
	if e.Request.Verb == replica.VerbResume {
		return Progress{Done: true, Message: n.Name + " takes groups again"}
	}
	var left []string
	for _, g := range o.Groups {
		if a := g.Status.Assignment; !snapshot.Balanced(g) && a != nil && (a.Node == n.Name || a.Node == "" && leaves(a, n.Name)) {
			left = append(left, g.Namespace+"/"+g.Name)
		}
	}
	if len(left) == 0 {
		return Progress{Done: true, Message: n.Name + " is drained: no group is left on it"}
	}
	slices.Sort(left)
	const most = 10
	if more := len(left) - most; more > 1 {
		left = append(left[:most], fmt.Sprintf("%d more", more))
	}
	return Progress{Message: n.Name + " still has " + strings.Join(left, ", ")}
}

// leaves says that a withdrawal is not released by the node yet.
func leaves(a *v1alpha1.Assignment, node string) bool {
	return slices.ContainsFunc(a.Unproven, func(o v1alpha1.UnprovenOwner) bool { return o.Node == node })
}

func ofMove(e *replica.Entry, g *v1alpha1.ResourceGroup) Progress {
	move := snapshot.ParseMove(e.Request.Move())
	last := g.Status.LastMove
	switch {
	case last != nil && last.Token == move.Token:
		return ofRecord(last, g)
	case slices.Contains(g.Status.UsedMoveTokens, move.Token):
		return Progress{Done: true, Message: "the move was carried out, and another one since; " + where(g)}
	case g.Annotations[v1alpha1.MoveToAnnotation] != e.Request.Move():
		return Progress{Failed: true, Message: "another move was asked for instead"}
	}
	return Progress{Message: "nothing is decided yet; " + where(g)}
}

func ofRecord(last *v1alpha1.MoveRecord, g *v1alpha1.ResourceGroup) Progress {
	switch last.Outcome {
	case v1alpha1.MoveRefused:
		return Progress{Failed: true, Message: "the move was refused: " + last.Message}
	case v1alpha1.MoveFailed:
		return Progress{Failed: true, Message: strings.TrimSuffix("the move failed: "+last.Message, ": ") + "; " + where(g)}
	case v1alpha1.MoveCompleted:
		return Progress{Done: g.Status.State == v1alpha1.GroupOnline, Message: where(g)}
	case v1alpha1.MovePending:
	}
	return Progress{Message: fmt.Sprintf("%s gives it up, then %s takes it", last.From, last.To)}
}

func ofState(e *replica.Entry, g *v1alpha1.ResourceGroup) Progress {
	if p, changed := changedSince(e, func(f replica.Field) string { return replica.Get(g, f) }); changed {
		return p
	}
	if e.Request.Verb == replica.VerbOnline {
		return Progress{Done: g.Status.State == v1alpha1.GroupOnline, Message: where(g)}
	}
	a := g.Status.Assignment
	gone := a == nil || a.Node == "" && len(a.Unproven) == 0
	return Progress{Done: gone && g.Status.State == v1alpha1.GroupOffline, Message: where(g)}
}

// where says where the group is.
func where(g *v1alpha1.ResourceGroup) string {
	state := g.Status.State
	if state == "" {
		state = v1alpha1.GroupOffline
	}
	a := g.Status.Assignment
	switch {
	case a != nil && a.Node != "":
		return fmt.Sprintf("%s/%s is %s on %s", g.Namespace, g.Name, state, a.Node)
	case a != nil && len(a.Unproven) > 0:
		return fmt.Sprintf("%s/%s is %s; %s has not released it yet", g.Namespace, g.Name, state, a.Unproven[0].Node)
	}
	return fmt.Sprintf("%s/%s is %s", g.Namespace, g.Name, state)
}
