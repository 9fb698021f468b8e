package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is one change.
type mutant struct {
	id   int
	file string
	line int
	what string
	// key is the same in another run as long as the function is the same, wherever it stands.
	key string
}

func (m mutant) String() string { return fmt.Sprintf("%s:%d: %s", m.file, m.line, m.what) }

// wrap is text that is put around a piece of the source.
type wrap struct {
	from, to    int
	before, end string
}

// source is a file with its changes.
type source struct {
	path  string
	text  string
	fset  *token.FileSet
	wraps []wrap
	found *[]mutant
	// result is the type of the one result of the function that is looked at; empty for other functions.
	result string
	// function stands for the name and the text of the function that is looked at, and changes counts what was found in it.
	function string
	changes  int
}

// mutate reads the files of a package, and returns the text of each with all changes in it.
func mutate(dir string, found *[]mutant) (map[string]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.Base(path), "mutation") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		s := &source{path: path, text: string(text), fset: token.NewFileSet(), found: found}
		file, err := parser.ParseFile(s.fset, path, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				s.result, s.changes = resultOf(f.Type), 0
				s.function = fmt.Sprintf("%s %x", f.Name.Name, sha256.Sum256([]byte(s.of(f))))
				ast.Inspect(f.Body, s.look)
			}
		}
		files[path] = s.render()
	}
	return files, nil
}

func resultOf(f *ast.FuncType) string {
	if f.Results == nil || len(f.Results.List) != 1 || len(f.Results.List[0].Names) > 1 {
		return ""
	}
	if name, ok := f.Results.List[0].Type.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

func (s *source) add(n ast.Node, what string) int {
	m := mutant{id: len(*s.found) + 1, file: s.path, line: s.fset.Position(n.Pos()).Line}
	text, _, _ := strings.Cut(s.of(n), "\n")
	m.what, m.key = what+": "+text, fmt.Sprintf("%s %s %d %s", s.path, s.function, s.changes, what)
	*s.found = append(*s.found, m)
	s.changes++
	return m.id
}

func (s *source) of(n ast.Node) string { return s.text[s.offset(n.Pos()):s.offset(n.End())] }

func (s *source) offset(p token.Pos) int { return s.fset.Position(p).Offset }

func (s *source) wrap(n ast.Node, before, end string) {
	s.wraps = append(s.wraps, wrap{s.offset(n.Pos()), s.offset(n.End()), before, end})
}

// look adds the changes of one node.
func (s *source) look(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncLit:
		outer := s.result
		s.result = resultOf(n.Type)
		ast.Inspect(n.Body, s.look)
		s.result = outer
		return false
	case *ast.BinaryExpr:
		s.binary(n)
	case *ast.IfStmt:
		s.condition(n.Cond)
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, c := range n.Body.List {
				for _, e := range c.(*ast.CaseClause).List {
					s.condition(e)
				}
			}
		}
	case *ast.ReturnStmt:
		if len(n.Results) == 1 {
			s.returned(n.Results[0])
		}
	case *ast.BlockStmt:
		s.statements(n.List)
	case *ast.CaseClause:
		s.statements(n.Body)
	}
	return true
}

// binary changes bounds, turns comparisons round, swaps && and ||, and + and - beside a number.
func (s *source) binary(n *ast.BinaryExpr) {
	x, y := s.of(n.X), s.of(n.Y)
	switch n.Op {
	case token.LSS, token.GTR:
		s.wrap(n, "((", fmt.Sprintf(" || mutated(%d) && (%s) == (%s)) != mutated(%d))", s.add(n, "bound"), x, y, s.add(n, "negated")))
	case token.LEQ, token.GEQ:
		s.wrap(n, "((", fmt.Sprintf(" && !(mutated(%d) && (%s) == (%s))) != mutated(%d))", s.add(n, "bound"), x, y, s.add(n, "negated")))
	case token.EQL, token.NEQ:
		s.wrap(n, "((", fmt.Sprintf(") != mutated(%d))", s.add(n, "negated")))
	case token.LAND:
		s.wrap(n, "(", fmt.Sprintf(" || mutated(%d) && ((%s) || (%s)))", s.add(n, "&& to ||"), x, y))
	case token.LOR:
		s.wrap(n, "((", fmt.Sprintf(") && !(mutated(%d) && !((%s) && (%s))))", s.add(n, "|| to &&"), x, y))
	case token.ADD, token.SUB:
		number, ok := n.Y.(*ast.BasicLit)
		_, constant := n.X.(*ast.BasicLit)
		if constant || n.Op == token.ADD && (!ok || number.Kind != token.INT) {
			return
		}
		other := "-"
		if n.Op == token.SUB {
			other = "+"
		}
		s.wrap(n, "either(", fmt.Sprintf(", (%s) %s (%s), %d)", x, other, y, s.add(n, "to "+other)))
	default:
	}
}

// condition turns round what is no comparison.
func (s *source) condition(e ast.Expr) {
	switch e.(type) {
	case *ast.CallExpr, *ast.Ident, *ast.SelectorExpr, *ast.UnaryExpr, *ast.IndexExpr:
		s.wrap(e, "((", fmt.Sprintf(") != mutated(%d))", s.add(e, "negated")))
	}
}

// returned turns round what is true or false, and makes numbers 0.
func (s *source) returned(e ast.Expr) {
	switch s.result {
	case "bool":
		s.condition(e)
	case "int", "int64", "uint64":
		if _, literal := e.(*ast.BasicLit); !literal {
			s.wrap(e, "either(", fmt.Sprintf(", 0, %d)", s.add(e, "0 instead of")))
		}
	}
}

// statements leaves out one statement.
func (s *source) statements(list []ast.Stmt) {
	for _, n := range list {
		switch n := n.(type) {
		case *ast.ExprStmt:
			if strings.HasPrefix(s.of(n), "panic(") {
				continue
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				continue
			}
		case *ast.BranchStmt:
			if n.Tok != token.CONTINUE && n.Tok != token.BREAK {
				continue
			}
		case *ast.IncDecStmt:
		default:
			continue
		}
		s.wrap(n, fmt.Sprintf("if !mutated(%d) { ", s.add(n, "left out")), " }")
	}
}

// render puts the changes into the text: around the same piece, what was found first is outside.
func (s *source) render() string {
	var out strings.Builder
	order := make([]int, len(s.wraps))
	for i := range order {
		order[i] = i
	}
	begin, end := slices.Clone(order), slices.Clone(order)
	slices.SortStableFunc(begin, func(a, b int) int {
		return cmp.Or(cmp.Compare(s.wraps[a].from, s.wraps[b].from), cmp.Compare(s.wraps[b].to, s.wraps[a].to), cmp.Compare(a, b))
	})
	slices.SortStableFunc(end, func(a, b int) int {
		return cmp.Or(cmp.Compare(s.wraps[a].to, s.wraps[b].to), cmp.Compare(s.wraps[b].from, s.wraps[a].from), cmp.Compare(b, a))
	})
	for at := 0; at <= len(s.text); at++ {
		for ; len(end) > 0 && s.wraps[end[0]].to == at; end = end[1:] {
			out.WriteString(s.wraps[end[0]].end)
		}
		for ; len(begin) > 0 && s.wraps[begin[0]].from == at; begin = begin[1:] {
			out.WriteString(s.wraps[begin[0]].before)
		}
		if at < len(s.text) {
			out.WriteByte(s.text[at])
		}
	}
	return out.String()
}
