package audit

import (
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
)

// withJournal is the look as the nodes go by it: while the reporter publishes what was decided without the API server, that is in force,
// whatever the API's objects still say. A page that cannot be read changes nothing: what is found then is worth being told.
func withJournal(l *Look) *Look {
	if l.Objects == nil {
		return l
	}
	page, token := l.Objects.JournalPage()
	if token == "" {
		return l
	}
	entries, err := replica.ReadPage(page)
	if err != nil {
		return l
	}
	out, objects := *l, *l.Objects
	applied := replica.Of(&snapshot.Objects{Groups: l.Objects.Groups, Nodes: l.Objects.Nodes}).Apply(entries)
	objects.Groups, objects.Nodes = applied.Groups, applied.Nodes
	out.Objects = &objects
	return &out
}
