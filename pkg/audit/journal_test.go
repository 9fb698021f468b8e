package audit

import (
	"testing"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
)

// TestJournalOfSeveralPages: before the last page is published, nobody but the nodes can know what is in force.
func TestJournalOfSeveralPages(t *testing.T) {
	w := newWorld(t)
	w.pass(3 * time.Second)
	w.apiGone = true
	w.clear("a")
	w.place("shop", "b", 600+replica.PageEntries)
	decided := w.group("shop").Status.DeepCopy()
	w.assign("shop", "a", 7) // that is what the API server has
	w.hosts["a"] = nil
	w.pass(time.Minute)
	w.apiGone = false
	w.publish("b", 6, 2, 3)
	var journal []replica.Entry
	for n := range replica.PageEntries + 1 {
		s := decided.DeepCopy()
		s.Assignment.Epoch = int64(600 + n)
		journal = append(journal, replica.Entry{
			ID: replica.EntryID{View: model.ViewID{Number: 6, Coordinator: 2}, Session: 1, Number: uint64(n + 1)}, Namespace: "demo", Name: "shop",
			UID: string(w.group("shop").UID), Status: s, Decided: true,
		})
	}
	for left := journal; len(left) > 0; {
		page, token, n, err := replica.Page(left)
		if err != nil {
			t.Fatal(err)
		}
		w.node("b").Status.Agent.Journal = &v1alpha1.AgentJournal{Pending: true, Page: page, Token: token}
		w.pass(time.Minute)
		w.nothing("a page of the journal is published")
		if left = left[n:]; len(left) > 0 {
			w.group("shop").Status = *journal[n-1].Status // it is written
		}
	}
}
