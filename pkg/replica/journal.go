package replica

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/status"
)

// EntryID orders what was decided without the API server: by the view of the coordinator that decided it, then by the session in
// which it did, then by number. Nobody else decides in that view, so no two entries share an id.
type EntryID struct {
	View    model.ViewID `json:"view"`
	Session uint64       `json:"session"`
	Number  uint64       `json:"number"`
}

// Compare orders ids.
func (i EntryID) Compare(o EntryID) int {
	return cmp.Or(
		cmp.Compare(i.View.Number, o.View.Number), cmp.Compare(i.View.Coordinator, o.View.Coordinator),
		cmp.Compare(i.Session, o.Session), cmp.Compare(i.Number, o.Number),
	)
}

func (i EntryID) String() string {
	return strconv.FormatUint(i.View.Number, 10) + "." + strconv.FormatUint(uint64(i.View.Coordinator), 10) + "." +
		strconv.FormatUint(i.Session, 16) + "." + strconv.FormatUint(i.Number, 10)
}

// Entry is one change of a group's status that was made without the API server, or what an operator asked for on a host meanwhile, to be
// written to it later.
type Entry struct {
	ID EntryID `json:"id"`
	// Time is when it was decided, by the coordinator's wall clock.
	Time      time.Time `json:"time"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       string    `json:"uid"`
	// Status is the group's whole status after the change; nil with a Request. Nothing changes what it points to.
	Status *v1alpha1.ResourceGroupStatus `json:"status,omitempty"`
	// Request is what an operator asked for of the object, a Node or a group; nil for a change of status.
	Request *Request `json:"request,omitempty"`
	// Decided says that policy decided it; otherwise it only tells what was seen.
	Decided bool `json:"decided,omitempty"`
	// Move is the value of quorate.io/move-to that this change answers; empty for none.
	Move string `json:"move,omitempty"`
	// Events are what the change is worth.
	Events []status.Event `json:"events,omitempty"`
}

// Check holds what every reader of an entry relies on.
func (e *Entry) Check() error {
	var err error
	switch {
	case (e.Status == nil) == (e.Request == nil):
		err = errors.New("it needs exactly one of a status and a request")
	case e.Request != nil:
		err = e.Request.check()
	case e.epoch() < 0 || e.epoch() > int64(model.MaxEpoch):
		err = fmt.Errorf("epoch %d is out of bounds", e.epoch())
	}
	if err != nil {
		return fmt.Errorf("entry %s: %w", e.ID, err)
	}
	return nil
}

// epoch is that of the assignment after the entry.
func (e *Entry) epoch() int64 {
	if e.Status == nil || e.Status.Assignment == nil {
		return 0
	}
	return e.Status.Assignment.Epoch
}

// MergeEntries is the union of journals, in order.
func MergeEntries(journals ...[]Entry) []Entry {
	seen := map[EntryID]bool{}
	var all []Entry
	for _, journal := range journals {
		for _, e := range journal {
			if !seen[e.ID] {
				seen[e.ID] = true
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return a.ID.Compare(b.ID) })
	return all
}

// Of makes a copy that shares the objects, which nobody changes.
func Of(o *snapshot.Objects) *Copy {
	return &Copy{
		Format: format, Cluster: o.Cluster, Quorum: o.Quorum, Nodes: slices.Clone(o.Nodes), Groups: slices.Clone(o.Groups),
		Resources: slices.Clone(o.Resources),
	}
}

// Objects are those of the copy.
func (c *Copy) Objects(name string) *snapshot.Objects {
	o := &snapshot.Objects{Name: name}
	if c != nil {
		o.Cluster, o.Quorum, o.Nodes, o.Groups, o.Resources = c.Cluster, c.Quorum, slices.Clone(c.Nodes), slices.Clone(c.Groups), slices.Clone(c.Resources)
	}
	return o
}

// Apply returns the copy with the entries applied in their order. An entry that is older than the group's assignment, by its view or by
// its epoch, only raises what is known of epochs (O7); one of a group that the copy does not have changes nothing.
func (c *Copy) Apply(entries []Entry) *Copy {
	if len(entries) == 0 {
		return c
	}
	out := *c
	out.Groups, out.Nodes = slices.Clone(c.Groups), slices.Clone(c.Nodes)
	at := make(map[string]int, len(out.Groups))
	for i, g := range out.Groups {
		at[string(g.UID)] = i
	}
	for i := range entries {
		e := &entries[i]
		if e.Request != nil {
			out.carry(e)
			continue
		}
		n, found := at[e.UID]
		if !found || e.Status == nil {
			continue
		}
		g := *out.Groups[n]
		if e.Outdated(g.Status.Assignment) || EpochOf(&g) > e.epoch() {
			g.Status.EpochFloor = max(g.Status.EpochFloor, e.epoch())
			out.Groups[n] = &g
			continue
		}
		g.Status = *e.Status
		if e.Move != "" && g.Annotations[v1alpha1.MoveToAnnotation] == e.Move {
			g.Annotations = maps.Clone(g.Annotations)
			delete(g.Annotations, v1alpha1.MoveToAnnotation)
		}
		out.Groups[n] = &g
	}
	return &out
}

// newer orders assignments by the view that they were made in, then by epoch: a view that decided later knew more, whatever a
// member of an earlier one may have in its journal.
func newer(a, b *v1alpha1.Assignment) bool {
	switch {
	case a == nil || b == nil:
		return a != nil
	case a.ViewID.Number != b.ViewID.Number:
		return a.ViewID.Number > b.ViewID.Number
	}
	return a.Epoch > b.Epoch
}

// EpochOf is the epoch of the group's assignment; 0 for none.
func EpochOf(g *v1alpha1.ResourceGroup) int64 {
	if g.Status.Assignment == nil {
		return 0
	}
	return g.Status.Assignment.Epoch
}

// Newest merges copies: the objects are those of the copy that has seen most of the API server, by resource version, the first of
// equals; each group has the status of the latest assignment that any copy knows, and what was asked for last on a host.
func Newest(copies ...*Copy) *Copy {
	var best *Copy
	var seen uint64
	for _, c := range copies {
		if c != nil && (best == nil || c.seen() > seen) {
			best, seen = c, c.seen()
		}
	}
	if best == nil {
		return nil
	}
	out := *best
	out.Groups, out.Nodes = slices.Clone(best.Groups), slices.Clone(best.Nodes)
	at := make(map[string]int, len(out.Groups))
	for i, g := range out.Groups {
		at[string(g.UID)] = i
	}
	for _, c := range copies {
		if c == nil || c == best {
			continue
		}
		out.wishesOf(c)
		for _, g := range c.Groups {
			i, found := at[string(g.UID)]
			if !found || !newer(g.Status.Assignment, out.Groups[i].Status.Assignment) {
				continue
			}
			merged := *out.Groups[i]
			merged.Status = g.Status
			out.Groups[i] = &merged
		}
	}
	return &out
}

// seen is the highest resource version of an object in the copy.
func (c *Copy) seen() uint64 {
	var highest uint64
	note := func(version string) {
		if n, err := strconv.ParseUint(version, 10, 64); err == nil {
			highest = max(highest, n)
		}
	}
	if c.Cluster != nil {
		note(c.Cluster.ResourceVersion)
	}
	if c.Quorum != nil {
		note(c.Quorum.ResourceVersion)
	}
	for _, n := range c.Nodes {
		note(n.ResourceVersion)
	}
	for _, g := range c.Groups {
		note(g.ResourceVersion)
	}
	for _, r := range c.Resources {
		note(r.ResourceVersion)
	}
	return highest
}

const (
	// PageEntries is how many entries of a journal are published at a time.
	PageEntries = 64
	// MaxPage bounds a page, compressed.
	MaxPage = 256 << 10
	// maxPagePlain bounds it after decompression.
	maxPagePlain = 16 << 20
)

// errGarbledPage says that a page was not written by an agent.
var errGarbledPage = errors.New("the journal of what was decided without the API server is garbled")

// Page is the beginning of a journal as it is published, with the token that stands for it: a prefix of at most PageEntries entries
// that fits MaxPage.
func Page(journal []Entry) (page []byte, token string, entries int, err error) {
	for n := min(len(journal), PageEntries); n > 0; n /= 2 {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if err := errors.Join(json.NewEncoder(z).Encode(journal[:n]), z.Close()); err != nil {
			return nil, "", 0, fmt.Errorf("encoding the journal: %w", err)
		}
		if b.Len() <= MaxPage || n == 1 {
			return b.Bytes(), TokenOf(journal[:n]), n, nil
		}
	}
	return nil, "", 0, nil
}

// TokenOf stands for a page: its first and last entry and their number.
func TokenOf(entries []Entry) string {
	if len(entries) == 0 {
		return ""
	}
	return entries[0].ID.String() + "-" + entries[len(entries)-1].ID.String() + "-" + strconv.Itoa(len(entries))
}

// ReadPage reads a page.
func ReadPage(page []byte) ([]Entry, error) {
	z, err := gzip.NewReader(bytes.NewReader(page))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbledPage, err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxPagePlain+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbledPage, err)
	}
	if len(plain) > maxPagePlain {
		return nil, fmt.Errorf("%w: it has more than %d bytes", errGarbledPage, maxPagePlain)
	}
	var entries []Entry
	if err := json.Unmarshal(plain, &entries); err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbledPage, err)
	}
	for i := range entries {
		e := &entries[i]
		if err := e.Check(); err != nil {
			return nil, fmt.Errorf("%w: %w", errGarbledPage, err)
		}
		if e.UID == "" {
			return nil, fmt.Errorf("%w: entry %s has no uid", errGarbledPage, e.ID)
		}
	}
	return entries, nil
}

// Written is what the entry makes of the status of a group that the API server shows; nil when it changes nothing. An assignment that
// the API server has got meanwhile from a controller in the same view or an older one was obeyed by nobody, since all members of the
// view went by the journal: what the entry says is written above it. One of a newer view stands: the entry is history.
func (e *Entry) Written(shown *v1alpha1.ResourceGroupStatus) *v1alpha1.ResourceGroupStatus {
	theirs, ours := shown.Assignment, e.Status.Assignment
	switch {
	case ours == nil && theirs != nil:
		return nil
	case e.Outdated(theirs):
		// History, whatever its epoch: it may have been on one disk alone, and obeyed by nobody. Its epoch is not given again (O7).
		if e.epoch() <= max(theirs.Epoch, shown.EpochFloor) {
			return nil
		}
		passed := *shown
		passed.EpochFloor = e.epoch()
		return &passed
	case ours == nil || theirs == nil || ours.Epoch > theirs.Epoch:
		return e.Status
	case ours.Epoch == theirs.Epoch && ours.Node == theirs.Node && ours.NodeID == theirs.NodeID && ours.Generation == theirs.Generation:
		return e.Status
	case theirs.Epoch >= int64(model.MaxEpoch):
		return nil
	case theirs.ViewID.Number == int64(e.ID.View.Number) && !later(ours, theirs):
		return nil // a later entry of the same view, written already
	}
	raised := e.Status.DeepCopy()
	raised.Assignment.Epoch = theirs.Epoch + 1
	raised.Assignment.Unproven = unite(ours, theirs)
	return raised
}

// Outdated says that an assignment of a newer view stands.
func (e *Entry) Outdated(shown *v1alpha1.Assignment) bool {
	return shown != nil && shown.ViewID.Number > int64(e.ID.View.Number)
}

func later(a, b *v1alpha1.Assignment) bool {
	return a.Time != nil && (b.Time == nil || a.Time.After(b.Time.Time))
}

// unite lists every earlier owner of either assignment, and the owner that nobody obeyed (O2).
func unite(ours, theirs *v1alpha1.Assignment) []v1alpha1.UnprovenOwner {
	list := slices.Clone(ours.Unproven)
	add := func(o v1alpha1.UnprovenOwner) {
		same := func(x v1alpha1.UnprovenOwner) bool { return x.NodeID == o.NodeID && x.Generation == o.Generation }
		if o.NodeID == 0 || o.NodeID == ours.NodeID && o.Generation == ours.Generation {
			return
		}
		if at := slices.IndexFunc(list, same); at >= 0 {
			list[at].Epoch = max(list[at].Epoch, o.Epoch)
			return
		}
		list = append(list, o)
	}
	for _, o := range theirs.Unproven {
		add(o)
	}
	add(v1alpha1.UnprovenOwner{Node: theirs.Node, NodeID: theirs.NodeID, Generation: theirs.Generation, Epoch: theirs.Epoch})
	return list
}
