package structure

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// Small rooms: a file that outgrows these is two ideas.
const (
	maxFileLines     = 450
	maxTestFileLines = 600
)

func walk(t *testing.T, suffix string, visit func(path string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case ".git", "bin", "dist", "node_modules":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, suffix) {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		visit(path, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFileSizes keeps files readable; generated ones are left out.
func TestFileSizes(t *testing.T) {
	walk(t, ".go", func(path string, content []byte) {
		if bytes.Contains(content[:min(len(content), 500)], []byte("generated")) || strings.Contains(path, "applyconfiguration") {
			return
		}
		limit := maxFileLines
		if strings.HasSuffix(path, "_test.go") {
			limit = maxTestFileLines
		}
		if lines := bytes.Count(content, []byte("\n")); lines > limit {
			t.Errorf("%s has %d lines, more than %d: divide it", path, lines, limit)
		}
	})
}

var markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestDocumentLinks follows the relative links of every document, with their anchors.
func TestDocumentLinks(t *testing.T) {
	walk(t, ".md", func(path string, content []byte) {
		for _, match := range markdownLink.FindAllSubmatch(content, -1) {
			link := string(match[1])
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(link, "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s leads nowhere", path, link)
				continue
			}
			if anchor != "" && !hasHeading(t, target, anchor) {
				t.Errorf("%s: %s has no heading for #%s", path, target, anchor)
			}
		}
	})
}

var notInAnchor = regexp.MustCompile(`[^a-z0-9 _-]`)

func hasHeading(t *testing.T, path, anchor string) bool {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(content), "\n") {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		heading := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
		if strings.ReplaceAll(notInAnchor.ReplaceAllString(heading, ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

// TestScriptsNameNoMachine keeps paths of one person's machine out of what everyone gets.
func TestScriptsNameNoMachine(t *testing.T) {
	for _, suffix := range []string{".sh", ".md", ".yaml", ".yml", "Makefile", "Dockerfile"} {
		walk(t, suffix, func(path string, content []byte) {
			for _, bad := range []string{"/root/", "/home/"} {
				if bytes.Contains(content, []byte(bad)) {
					t.Errorf("%s names a path of one machine: %s", path, bad)
				}
			}
		})
	}
}
