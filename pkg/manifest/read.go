package manifest

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/nearest"
)

// Source is a text with manifests in YAML or JSON.
type Source struct {
	// Name is that of the file, for messages.
	Name    string
	Content []byte
}

// Problem is one thing that is wrong with a manifest.
type Problem struct {
	File string
	// Line is 0 when it is not known.
	Line int
	// Object names kind, namespace and name; empty when the text is not even an object.
	Object  string
	Field   string
	Message string
}

func (p Problem) String() string {
	at := p.File
	if p.Line > 0 {
		at += ":" + strconv.Itoa(p.Line)
	}
	return strings.Join(slices.DeleteFunc([]string{at, p.Object, p.Field, p.Message}, func(s string) bool { return s == "" }), ": ")
}

// Options say how manifests are read.
type Options struct {
	// Namespace of objects that name none; empty means default.
	Namespace string
	// Old returns the object that one of these names would take the place of, as it was read or as it is in the cluster; nil when there
	// is none. What must not be changed is compared with it.
	Old func(kind, namespace, name string) map[string]any
}

// document is one object of a source.
type document struct {
	file string
	root *yaml.Node
	// prefix is the path of the object in the document: that of an item of a List.
	prefix string
	object map[string]any
}

// Read reads all sources, and returns the objects of this API with everything that is wrong. Objects of other APIs are left out.
func Read(sources []Source, opts Options) (*Set, []Problem) {
	if opts.Namespace == "" {
		opts.Namespace = "default"
	}
	set := &Set{entries: map[name]*entry{}, opts: opts}
	for _, s := range sources {
		before := len(set.problems)
		set.readSource(s)
		slices.SortStableFunc(set.problems[before:], func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	}
	return set, set.problems
}

// readSource divides a source into documents.
func (s *Set) readSource(source Source) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(source.Content)))
	offset, before := 0, 0
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.problem(Problem{File: source.Name, Line: before + 1, Message: err.Error()})
			return
		}
		// The reader leaves out the separators, so where a document begins is looked up.
		body := bytes.TrimRight(text, "\n")
		if at := bytes.Index(source.Content[offset:], body); at >= 0 {
			before += bytes.Count(source.Content[offset:offset+at], []byte("\n"))
			s.readDocument(source.Name, before, text)
			before += bytes.Count(body, []byte("\n"))
			offset += at + len(body)
			continue
		}
		s.readDocument(source.Name, before, text)
	}
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// readDocument reads one document that begins after so many lines.
func (s *Set) readDocument(file string, before int, text []byte) {
	if len(bytes.TrimSpace(text)) == 0 {
		return
	}
	raw, err := sigsyaml.YAMLToJSONStrict(text)
	if err != nil {
		p := Problem{File: file, Line: before + 1, Message: "this is not YAML: " + strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")}
		if m := yamlLine.FindStringSubmatch(p.Message); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil {
				p.Line = before + n
				p.Message = strings.Replace(p.Message, m[0], "line "+strconv.Itoa(p.Line), 1)
			}
		}
		s.problem(p)
		return
	}
	var content any
	if err := utiljson.Unmarshal(raw, &content); err != nil {
		s.problem(Problem{File: file, Line: before + 1, Message: err.Error()})
		return
	}
	root := &yaml.Node{}
	if err := yaml.Unmarshal(text, root); err != nil {
		root = nil // its lines are not told
	}
	shift(root, before)
	d := document{file: file, root: root}
	switch object := content.(type) {
	case nil:
	case map[string]any:
		d.object = object
		s.readObject(d)
	default:
		s.problem(Problem{File: file, Line: before + 1, Message: "this is no Kubernetes object: it has no apiVersion and kind"})
	}
}

// shift adds the lines before the document to the positions in it.
func shift(node *yaml.Node, lines int) {
	if node == nil {
		return
	}
	node.Line += lines
	for _, c := range node.Content {
		shift(c, lines)
	}
}

// readObject reads an object, or the items of a List.
func (s *Set) readObject(d document) {
	version, _ := d.object["apiVersion"].(string)
	kindName, _ := d.object["kind"].(string)
	items, list := d.object["items"].([]any)
	switch {
	case version == "" || kindName == "":
		s.report(d, "", "", "this is no Kubernetes object: apiVersion and kind are needed")
	case list && strings.HasSuffix(kindName, "List"):
		for i, item := range items {
			if object, ok := item.(map[string]any); ok {
				s.readObject(document{file: d.file, root: d.root, prefix: fmt.Sprintf("%sitems[%d].", d.prefix, i), object: object})
			} else {
				s.report(d, "", fmt.Sprintf("items[%d]", i), "this is no object")
			}
		}
	case !strings.HasPrefix(version, v1alpha1.SchemeGroupVersion.Group+"/"):
	case version != v1alpha1.SchemeGroupVersion.String():
		s.report(d, kindName, "apiVersion", fmt.Sprintf("%q is no version of the API: use %s", version, v1alpha1.SchemeGroupVersion))
	default:
		s.readOurs(d, kindName)
	}
}

// readOurs reads an object of this API.
func (s *Set) readOurs(d document, kindName string) {
	all, err := kinds()
	if err != nil {
		s.problem(Problem{Message: err.Error()})
		return
	}
	k := all[kindName]
	if k == nil {
		s.report(d, kindName, "kind", fmt.Sprintf("there is no kind %q in %s%s", kindName, v1alpha1.SchemeGroupVersion, nearest.Hint(kindName, slices.Collect(maps.Keys(all)))))
		return
	}
	n, ok := s.nameOf(d, k)
	if !ok {
		return
	}
	if earlier := s.entries[n]; earlier != nil {
		s.report(d, n.String(), "metadata.name", fmt.Sprintf("the object is in %s:%d already", earlier.file, lineOf(earlier.root, earlier.prefix+"metadata.name")))
		return
	}
	s.entries[n] = &entry{document: d, name: n}
	var old map[string]any
	if s.opts.Old != nil {
		old = s.opts.Old(n.kind, n.namespace, n.name)
	}
	for _, e := range k.admit(d.object, old) {
		s.report(d, n.String(), e.Field, strings.TrimPrefix(e.ErrorBody(), "Invalid value: "))
	}
	if err := s.convert(s.entries[n]); err != nil {
		s.report(d, n.String(), "", err.Error())
	}
}

// nameOf is the name of the object; false means that it has none that can be used.
func (s *Set) nameOf(d document, k *kind) (n name, ok bool) {
	meta, _ := d.object["metadata"].(map[string]any)
	n = name{kind: k.name}
	n.name, _ = meta["name"].(string)
	if other, found := meta["name"]; found && n.name == "" && other != "" {
		s.report(d, k.name, "metadata.name", fmt.Sprintf("%v is a %T and no text: put it in quotation marks", other, other))
		return n, false
	}
	n.namespace, _ = meta["namespace"].(string)
	switch {
	case k.namespaced && n.namespace == "":
		n.namespace = s.opts.Namespace
		if meta != nil {
			meta["namespace"] = n.namespace
		}
	case !k.namespaced && n.namespace != "":
		s.report(d, n.String(), "metadata.namespace", "a "+k.name+" belongs to no namespace: leave it out")
	}
	if n.name == "" {
		s.report(d, k.name, "metadata.name", "the object needs a name")
		return n, false
	}
	if bad := validation.IsDNS1123Subdomain(n.name); len(bad) > 0 {
		why, _, _ := strings.Cut(bad[0], " (e.g.")
		s.report(d, n.String(), "metadata.name", fmt.Sprintf("%q: %s", n.name, why))
		return n, false
	}
	return n, true
}

func (s *Set) problem(p Problem) {
	if !slices.Contains(s.problems, p) {
		s.problems = append(s.problems, p)
	}
}

func (s *Set) report(d document, object, field, message string) {
	field = strings.TrimPrefix(field, "<nil>")
	field = strings.TrimPrefix(strings.TrimPrefix(field, "<root>"), ".")
	s.problem(Problem{File: d.file, Line: lineOf(d.root, d.prefix+field), Object: object, Field: field, Message: message})
}
