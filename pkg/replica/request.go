package replica

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Verb is what an operator asks for on a host.
type Verb string

// Verbs of requests. Move, Online and Offline are about a ResourceGroup, Drain and Resume about a Node.
const (
	VerbMove    Verb = "move"
	VerbOnline  Verb = "online"
	VerbOffline Verb = "offline"
	VerbDrain   Verb = "drain"
	VerbResume  Verb = "resume"
)

// AboutNode says that the verb is about a Node, and not about a ResourceGroup.
func (v Verb) AboutNode() bool { return v == VerbDrain || v == VerbResume }

// known says that there is such a verb.
func (v Verb) known() bool {
	return slices.Contains([]Verb{VerbMove, VerbOnline, VerbOffline, VerbDrain, VerbResume}, v)
}

// Field is what a request changes in an object: a field of its spec, or the annotation that asks for a move.
type Field string

// Fields of requests.
const (
	FieldMove             Field = v1alpha1.MoveToAnnotation
	FieldDesiredState     Field = "spec.desiredState"
	FieldAvailability     Field = "spec.availability"
	FieldFailbackOnResume Field = "spec.failbackOnResume"
)

// Change is one field's. From is the value that was known when it was asked for: where the API server shows a third one, somebody has
// changed it meanwhile.
type Change struct {
	Field Field  `json:"field"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}

// Asker is who asked, as the kernel of the host tells.
type Asker struct {
	// User is the account that logged in, UID the one of the process.
	User string `json:"user"`
	UID  uint32 `json:"uid"`
	// Host is the name of the Node on whose host it was.
	Host string `json:"host"`
}

func (a Asker) String() string { return fmt.Sprintf("%s (uid %d) on %s", a.User, a.UID, a.Host) }

// Request is what an operator asked for on a host while no API server was reached: changes of one object that are made together or not
// at all.
type Request struct {
	// ID is the command's: asked again with the same one, nothing more happens.
	ID   string `json:"id"`
	Verb Verb   `json:"verb"`
	By   Asker  `json:"by"`
	// Asked is when, by the clock of that host.
	Asked   time.Time `json:"asked"`
	Changes []Change  `json:"changes"`
}

const (
	// RequestPrefix begins every Request.ID: as the token of a move it tells that it was asked for on a host.
	RequestPrefix = "host-"
	// maxRequestID bounds Request.ID.
	maxRequestID = 64
)

// CheckRequestID says what is wrong with the id of a request.
func CheckRequestID(id string) error {
	if !strings.HasPrefix(id, RequestPrefix) || len(id) > maxRequestID || strings.ContainsAny(id, "/ \t\r\n") {
		return fmt.Errorf("%q is not the id of a command: %s and up to %d characters without blanks and slashes", id, RequestPrefix, maxRequestID-len(RequestPrefix))
	}
	return nil
}

// check holds what every reader relies on.
func (r *Request) check() error {
	if err := CheckRequestID(r.ID); err != nil {
		return err
	}
	switch {
	case !r.Verb.known():
		return fmt.Errorf("it asks for %q, which this version does not know", r.Verb)
	case len(r.Changes) == 0:
		return errors.New("it changes nothing")
	}
	for _, c := range r.Changes {
		if r.Verb.AboutNode() != (c.Field == FieldAvailability || c.Field == FieldFailbackOnResume) {
			return fmt.Errorf("%s cannot change %q", r.Verb, c.Field)
		}
		if !r.Verb.AboutNode() && c.Field != FieldMove && c.Field != FieldDesiredState {
			return fmt.Errorf("%s cannot change %q", r.Verb, c.Field)
		}
	}
	return nil
}

// Move is the value of quorate.io/move-to that the request asks for; empty for none.
func (r *Request) Move() string {
	for _, c := range r.Changes {
		if c.Field == FieldMove {
			return c.To
		}
	}
	return ""
}

// Get is the value of a field, a default written out; empty for a field that the object does not have.
func Get(o metav1.Object, f Field) string {
	or := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	switch o := o.(type) {
	case *v1alpha1.Node:
		switch f {
		case FieldAvailability:
			return or(string(o.Spec.Availability), string(v1alpha1.AvailabilityAvailable))
		case FieldFailbackOnResume:
			return or(string(o.Spec.FailbackOnResume), string(v1alpha1.FailbackOnResumePolicy))
		case FieldMove, FieldDesiredState:
		}
	case *v1alpha1.ResourceGroup:
		switch f {
		case FieldDesiredState:
			return or(string(o.Spec.DesiredState), string(v1alpha1.DesiredOnline))
		case FieldMove:
			return o.Annotations[v1alpha1.MoveToAnnotation]
		case FieldAvailability, FieldFailbackOnResume:
		}
	}
	return ""
}

// set changes a field of an object that is the caller's own.
func set(o metav1.Object, f Field, value string) {
	switch o := o.(type) {
	case *v1alpha1.Node:
		switch f {
		case FieldAvailability:
			o.Spec.Availability = v1alpha1.Availability(value)
		case FieldFailbackOnResume:
			o.Spec.FailbackOnResume = v1alpha1.FailbackOnResume(value)
		case FieldMove, FieldDesiredState:
		}
	case *v1alpha1.ResourceGroup:
		switch f {
		case FieldDesiredState:
			o.Spec.DesiredState = v1alpha1.DesiredState(value)
		case FieldMove:
			annotate(o, v1alpha1.MoveToAnnotation, value)
		case FieldAvailability, FieldFailbackOnResume:
		}
	}
}

func annotate(o metav1.Object, name, value string) {
	annotations := make(map[string]string, len(o.GetAnnotations())+1)
	for k, v := range o.GetAnnotations() {
		annotations[k] = v
	}
	annotations[name] = value
	o.SetAnnotations(annotations)
}

// supersededMark ends the mark of a request that was not carried out, since somebody had changed the same field.
const supersededMark = "superseded"

// mark is the value of quorate.io/asked-on-host: the entry whose request was looked at last for this very object, the object's uid, and
// supersededMark if it was not carried out.
func mark(id EntryID, o metav1.Object, carried Carried) string {
	text := id.String() + "/" + string(o.GetUID())
	if carried == Superseded {
		text += "/" + supersededMark
	}
	return text
}

// marked reads the object's mark; the zero id when it has none, or one that was copied from another object.
func marked(o metav1.Object) (id EntryID, carried Carried) {
	parts := strings.Split(o.GetAnnotations()[v1alpha1.AskedOnHostAnnotation], "/")
	id, err := ParseEntryID(parts[0])
	if err != nil || len(parts) < 2 || parts[1] != string(o.GetUID()) {
		return EntryID{}, Known
	}
	if len(parts) == 3 && parts[2] == supersededMark {
		return id, Superseded
	}
	return id, Known
}

// ParseEntryID reads what String writes.
func ParseEntryID(text string) (EntryID, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 4 {
		return EntryID{}, fmt.Errorf("%q is no entry of a journal", text)
	}
	var numbers [4]uint64
	for i, base := range [4]int{10, 10, 16, 10} {
		n, err := strconv.ParseUint(parts[i], base, 64)
		if err != nil {
			return EntryID{}, fmt.Errorf("%q is no entry of a journal: %w", text, err)
		}
		numbers[i] = n
	}
	if numbers[1] > uint64(model.MaxNodeID) {
		return EntryID{}, fmt.Errorf("%q is no entry of a journal: there is no node %d", text, numbers[1])
	}
	return EntryID{View: model.ViewID{Number: numbers[0], Coordinator: model.NodeID(numbers[1])}, Session: numbers[2], Number: numbers[3]}, nil
}

// Carried is what became of a request that was carried into an object.
type Carried string

// What becomes of a request.
const (
	// Changed: the object has to be written.
	Changed Carried = "Changed"
	// Known: it was carried into the object before, or has been done since.
	Known Carried = "Known"
	// Superseded: somebody has changed the same field meanwhile, and that stands.
	Superseded Carried = "Superseded"
)

// Carry carries the entry's request into an object, which is not changed: what is returned is to take its place, and is the object itself
// where there is nothing to write. All changes are made, or none is. answered says that a later entry has carried the move out that this
// one asks for.
func Carry[T metav1.Object](e *Entry, o T, clone func(T) T, answered bool) (T, Carried) {
	last, carried := marked(o)
	switch {
	case e.ID.Compare(last) == 0: // the record of the view is not in a mark
		return o, carried
	case e.ID.Compare(last) < 0 || answered || carriedOut(e.Request, o):
		return o, Known
	}
	carried = Changed
	for _, c := range e.Request.Changes {
		if now := Get(o, c.Field); now != c.From && now != c.To {
			carried = Superseded
		}
	}
	changed := clone(o)
	annotate(changed, v1alpha1.AskedOnHostAnnotation, mark(e.ID, o, carried))
	for _, c := range e.Request.Changes {
		if carried == Changed && Get(o, c.Field) != c.To {
			set(changed, c.Field, c.To)
		}
	}
	return changed, carried
}

// carriedOut says that the move of the request was carried out already: its token is used.
func carriedOut(r *Request, o metav1.Object) bool {
	g, isGroup := o.(*v1alpha1.ResourceGroup)
	if move := r.Move(); isGroup && move != "" {
		token := snapshot.ParseMove(move).Token
		return token != "" && slices.Contains(g.Status.UsedMoveTokens, token)
	}
	return false
}

// Answered says that one of the entries has carried out, or refused, the move that a request asks for.
func Answered(r *Request, uid string, entries []Entry) bool {
	move := r.Move()
	return move != "" && slices.ContainsFunc(entries, func(e Entry) bool { return e.UID == uid && e.Move == move })
}

// carry is Carry into the copy.
func (c *Copy) carry(e *Entry) {
	if e.Request.Verb.AboutNode() {
		if at := slices.IndexFunc(c.Nodes, func(n *v1alpha1.Node) bool { return string(n.UID) == e.UID }); at >= 0 {
			c.Nodes[at], _ = Carry(e, c.Nodes[at], (*v1alpha1.Node).DeepCopy, false)
		}
		return
	}
	if at := slices.IndexFunc(c.Groups, func(g *v1alpha1.ResourceGroup) bool { return string(g.UID) == e.UID }); at >= 0 {
		c.Groups[at], _ = Carry(e, c.Groups[at], (*v1alpha1.ResourceGroup).DeepCopy, false)
	}
}

// wishes takes over from another version of the same object what was asked for on hosts, if that has the later mark. The result takes the
// object's place, which is not changed itself.
func wishes[T metav1.Object](mine, theirs T, clone func(T) T, fields ...Field) T {
	known, _ := marked(mine)
	if later, _ := marked(theirs); later.Compare(known) <= 0 {
		return mine
	}
	merged := clone(mine)
	annotate(merged, v1alpha1.AskedOnHostAnnotation, theirs.GetAnnotations()[v1alpha1.AskedOnHostAnnotation])
	for _, f := range fields {
		if f == FieldMove && !strings.HasPrefix(snapshot.ParseMove(Get(theirs, f)).Token, RequestPrefix) {
			continue // it is no host's, and may have been carried out since
		}
		if Get(mine, f) != Get(theirs, f) {
			set(merged, f, Get(theirs, f))
		}
	}
	return merged
}

// wishesOf takes over from another copy what was asked for on hosts after what this one knows. The lists are the caller's own.
func (c *Copy) wishesOf(other *Copy) {
	for _, theirs := range other.Nodes {
		if at := slices.IndexFunc(c.Nodes, func(n *v1alpha1.Node) bool { return n.UID == theirs.UID && n.Name == theirs.Name }); at >= 0 {
			c.Nodes[at] = wishes(c.Nodes[at], theirs, (*v1alpha1.Node).DeepCopy, FieldAvailability, FieldFailbackOnResume)
		}
	}
	for _, theirs := range other.Groups {
		if theirs.Annotations[v1alpha1.AskedOnHostAnnotation] == "" {
			continue
		}
		if at := slices.IndexFunc(c.Groups, func(g *v1alpha1.ResourceGroup) bool { return g.UID == theirs.UID }); at >= 0 {
			c.Groups[at] = wishes(c.Groups[at], theirs, (*v1alpha1.ResourceGroup).DeepCopy, FieldDesiredState, FieldMove)
		}
	}
}

// Has says that the entry's request was looked at for the copy's object: it is in the copy, or was superseded, or another one came later.
func (c *Copy) Has(e *Entry) bool {
	if c == nil {
		return false
	}
	in := func(o metav1.Object) bool {
		last, _ := marked(o)
		return e.ID.Compare(last) <= 0
	}
	for _, n := range c.Nodes {
		if string(n.UID) == e.UID && e.Request.Verb.AboutNode() {
			return in(n)
		}
	}
	for _, g := range c.Groups {
		if string(g.UID) == e.UID && !e.Request.Verb.AboutNode() {
			return in(g)
		}
	}
	return true // the object is gone
}
