package pacemaker

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is read: a CIB is a few hundred kilobytes, 105 MiB with the full history of 64 nodes and 3,000 resources.
const (
	maxBytes = 256 << 20
	maxDepth = 64
)

// element is one XML element with its line.
type element struct {
	name     string
	attrs    map[string]string
	children []*element
	line     int
}

// SyntaxError says where the text is not what it should be.
type SyntaxError struct {
	// Line of the text, from 1.
	Line    int
	Message string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

func wrong(line int, format string, args ...any) error {
	return &SyntaxError{Line: line, Message: fmt.Sprintf(format, args...)}
}

// parseElements reads one XML document. The status section of a CIB, which is most of it and says nothing about what is wanted, is
// checked for its syntax and left out.
func parseElements(data []byte) (*element, error) {
	if len(data) > maxBytes {
		return nil, wrong(1, "the file has %d bytes, more than the %d that a CIB may have here", len(data), maxBytes)
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("the encoding %q is not UTF-8: convert the file first, for instance with iconv", charset)
	}
	var root *element
	var open []*element
	for {
		token, err := d.Token()
		line, _ := d.InputPos()
		switch {
		case errors.Is(err, io.EOF):
			return complete(root, line)
		case err != nil:
			return nil, syntaxError(err, line)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(open) == maxDepth {
				return nil, wrong(line, "elements are nested more than %d deep", maxDepth)
			}
			e := newElement(&t, line)
			inStatus := len(open) > 1 && open[1].name == "status"
			if err := e.legible(); err != nil && !inStatus {
				return nil, err
			}
			switch {
			case inStatus:
			case len(open) > 0:
				open[len(open)-1].children = append(open[len(open)-1].children, e)
			case root != nil:
				return nil, wrong(line, "a second document element <%s> follows <%s>", e.name, root.name)
			default:
				root = e
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
}

// complete is the document at its end.
func complete(root *element, line int) (*element, error) {
	if root == nil {
		return nil, wrong(line, "no XML element: this is no CIB; export one with `cibadmin --query`")
	}
	return root, nil
}

func newElement(start *xml.StartElement, line int) *element {
	e := &element{name: start.Name.Local, attrs: make(map[string]string, len(start.Attr)), line: line}
	for _, a := range start.Attr {
		e.attrs[a.Name.Local] = a.Value
	}
	return e
}

// legible refuses attributes with a character that no manifest can have.
func (e *element) legible() error {
	for _, name := range slices.Sorted(maps.Keys(e.attrs)) {
		if r, found := illegible(e.attrs[name]); found {
			return wrong(e.line, "<%s id=%q>: the attribute %q has the character %U, which no manifest can have: take it out", e.name, e.id(), name, r)
		}
	}
	return nil
}

// illegible finds the first control character, or other one that YAML forbids or takes for the end of a line. Tabs and the ends of lines
// that people write are none.
func illegible(text string) (rune, bool) {
	at := strings.IndexFunc(text, func(r rune) bool {
		switch r {
		case '\t', '\n', '\r':
			return false
		case '\u2028', '\u2029', '\ufeff', '\ufffe', '\uffff':
			return true
		}
		return unicode.IsControl(r)
	})
	if at < 0 {
		return 0, false
	}
	r, _ := utf8.DecodeRuneInString(text[at:])
	return r, true
}

// syntaxError takes over the position and the sentence of the XML decoder.
func syntaxError(err error, line int) error {
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		message := syntax.Msg
		if strings.Contains(message, "unexpected EOF") {
			message = "the file ends in the middle of an element: it is cut off"
		}
		return wrong(syntax.Line, "malformed XML: %s", message)
	}
	return wrong(line, "malformed XML: %s", err)
}

// id is the element's id, or the id that it refers to.
func (e *element) id() string {
	if id := e.attrs["id"]; id != "" {
		return id
	}
	return e.attrs["id-ref"]
}

// child returns the first child of a name, or nil.
func (e *element) child(name string) *element {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// all returns the children of a name.
func (e *element) all(name string) []*element {
	if e == nil {
		return nil
	}
	var found []*element
	for _, c := range e.children {
		if c.name == name {
			found = append(found, c)
		}
	}
	return found
}

// require returns the value of an attribute that must be there.
func (e *element) require(name string) (string, error) {
	if v := e.attrs[name]; v != "" {
		return v, nil
	}
	return "", wrong(e.line, "<%s id=%q> has no attribute %q", e.name, e.attrs["id"], name)
}
