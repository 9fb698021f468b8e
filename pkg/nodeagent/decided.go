package nodeagent

import (
	"fmt"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/replica"
)

// mostDecided bounds LocalStatus.Decided.
const mostDecided = 20

// LocalDecision is something that was decided without the API server, or asked for on a host, and that the API server does not have yet.
type LocalDecision struct {
	Time time.Time `json:"time"`
	// Object is node/NAME, or a group's NAMESPACE/NAME.
	Object string `json:"object"`
	// By is who asked for it; empty for what policy decided.
	By string `json:"by,omitempty"`
	// What is one sentence.
	What string `json:"what"`
}

// decidedIn are the last of a journal's entries that decide or ask for something, oldest first.
func decidedIn(entries []replica.Entry) []LocalDecision {
	var list []LocalDecision
	for i := len(entries) - 1; i >= 0 && len(list) < mostDecided; i-- {
		e := &entries[i]
		if !e.Decided && e.Request == nil {
			continue
		}
		d := LocalDecision{Time: e.Time, Object: e.Namespace + "/" + e.Name}
		if e.Request != nil {
			d.By = e.Request.By.String()
			if e.Request.Verb.AboutNode() {
				d.Object = "node/" + e.Name
			}
		}
		switch a := e.Status; {
		case len(e.Events) > 0:
			d.What = e.Events[0].Note
		case a != nil && a.Assignment != nil:
			d.What = fmt.Sprintf("epoch %d (%s)", a.Assignment.Epoch, a.Assignment.Reason)
		}
		list = append(list, d)
	}
	slices.Reverse(list)
	return list
}
