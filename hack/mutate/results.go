package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// results is the file of outcomes, one on each line.
type results struct {
	file *os.File
	by   map[string]string // who noticed, by the change's key
}

// line is one of them.
type line struct {
	Key, File string
	Line      int
	What      string
	// By is the test that noticed the change, empty for none; Seen says that some test came by it.
	By   string
	Seen bool
}

// openResults reads the file, if there is one, and makes it ready for more. Without a name nothing is kept.
func openResults(path string) (*results, error) {
	r := &results{by: map[string]string{}}
	if path == "" {
		return r, nil
	}
	old, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		defer func() { _ = old.Close() }()
		number := 0
		for lines := bufio.NewScanner(old); lines.Scan(); {
			number++
			var l line
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, number, err)
			}
			if l.By != "" {
				r.by[l.Key] = l.By
			}
		}
	}
	r.file, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return r, err
}

// noticed returns the outcome of an earlier run in which some test noticed the change.
func (r *results) noticed(m mutant) (outcome, bool) {
	by, ok := r.by[m.key]
	return outcome{by: by, seen: true}, ok
}

func (r *results) add(m mutant, out outcome) error {
	if r.file == nil {
		return nil
	}
	text, err := json.Marshal(line{Key: m.key, File: m.file, Line: m.line, What: m.what, By: out.by, Seen: out.seen})
	if err != nil {
		return err
	}
	_, err = r.file.Write(append(text, '\n'))
	return err
}

func (r *results) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}
