package audit

import (
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
)

// withJournal is the look as the nodes go by it: while the reporter publishes what was decided without the API server, that is in force,
// whatever the API's objects still say. A page that cannot be read changes nothing: what is found then is worth being told. Of a journal of
// several pages only the last shows what is in force: until then the look is one at which nobody reached the API.
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
	if mayGoOn(page, entries) {
		out.Objects = nil
		return &out
	}
	applied := replica.Of(&snapshot.Objects{Groups: l.Objects.Groups, Nodes: l.Objects.Nodes}).Apply(entries)
	objects.Groups, objects.Nodes = applied.Groups, applied.Nodes
	out.Objects = &objects
	return &out
}

// mayGoOn says that there may be more of the journal than a page, which is as long as pages get: in entries, or in bytes, since a page that
// would be too large is halved.
func mayGoOn(page []byte, entries []replica.Entry) bool {
	return len(entries) >= replica.PageEntries || len(page) > replica.MaxPage/4
}
