package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// build compiles the tests with all changes in them, and learns which test comes by which.
func build(pkg, dir string, all *[]mutant) ([]*binary, error) {
	files, err := mutate(filepath.Join("pkg", pkg), all)
	if err != nil {
		return nil, err
	}
	files[filepath.Join("pkg", pkg, "switches.go")] = switchesOf(pkg)
	replace := map[string]string{}
	for path, text := range files {
		where, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		replace[where] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[where], []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	overlay := filepath.Join(dir, "overlay.json")
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(overlay, content, 0o600); err != nil {
		return nil, err
	}
	var binaries []*binary
	for i, c := range tests[pkg] {
		b := &binary{check: c, path: filepath.Join(dir, strconv.Itoa(i)+".test")}
		out, err := exec.CommandContext(context.Background(), "go", "test", "-vet=off", "-c", "-overlay", overlay, "-o", b.path, "./"+c.dir).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("building the tests of %s with changes: %w\n%s", c.dir, err, out)
		}
		if err := b.learn(filepath.Join(dir, "seen")); err != nil {
			return nil, err
		}
		binaries = append(binaries, b)
	}
	return binaries, nil
}
