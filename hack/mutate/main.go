package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tests are the fast tests of each package whose code is changed; the scenarios are among them.
var tests = map[string][]check{
	"policy":    {{"pkg/policy", []string{"-policy.worlds=20"}}, {"pkg/whatif", nil}},
	"lifecycle": {{"pkg/lifecycle", nil}},
	"quorum":    {{"pkg/quorum", nil}, {"test/sim", []string{"-test.run=Vote|Scenario", "-test.short"}}},
}

// check is a package with tests, and arguments that keep them fast.
type check struct {
	dir  string
	args []string
}

// binary is a built test.
type binary struct {
	check
	path string
	// seen are the changes that its tests come by.
	seen map[int]bool
	took time.Duration
}

func main() {
	every := flag.Int("every", 1, "try every so manieth change only")
	first := flag.Int("first", 1, "number of the first change to try")
	in := flag.String("in", "", "change only files whose name has this in it")
	limit := flag.Duration("for", 0, "try no more after this time (0: all)")
	flag.Parse()
	for _, pkg := range flag.Args() {
		if err := run(pkg, *in, *first, *every, *limit); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func run(pkg, in string, first, every int, limit time.Duration) error {
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var all []mutant
	binaries, err := build(pkg, dir, &all)
	if err != nil {
		return err
	}
	var killed, tried int
	var survivors, unseen []mutant
	start := time.Now()
	for i := first - 1; i < len(all) && (limit == 0 || time.Since(start) < limit); i += every {
		m := all[i]
		if !strings.Contains(filepath.Base(m.file), in) {
			continue
		}
		tried++
		switch noticed, seen := try(binaries, m); {
		case noticed:
			killed++
		case seen:
			survivors = append(survivors, m)
		default:
			unseen = append(unseen, m)
		}
	}
	for _, m := range survivors {
		fmt.Println("survived:", m)
	}
	for _, m := range unseen {
		fmt.Println("no test comes by:", m)
	}
	fmt.Printf("pkg/%s: %d changes, %d tried, %d noticed (%.1f %%), %d survived, %d that no test comes by, in %s\n", pkg, len(all), tried, killed,
		100*float64(killed)/float64(max(1, tried)), len(survivors), len(unseen), time.Since(start).Round(time.Second))
	return nil
}

// build compiles the tests with all changes in them, and runs them once with none switched on.
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
		b := &binary{check: c, path: filepath.Join(dir, strconv.Itoa(i)+".test"), seen: map[int]bool{}}
		out, err := exec.CommandContext(context.Background(), "go", "test", "-vet=off", "-c", "-overlay", overlay, "-o", b.path, "./"+c.dir).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("building the tests of %s with changes: %w\n%s", c.dir, err, out)
		}
		if err := b.look(dir); err != nil {
			return nil, err
		}
		binaries = append(binaries, b)
	}
	return binaries, nil
}

// look runs the tests without a change, and notes which changes they come by.
func (b *binary) look(dir string) error {
	list := filepath.Join(dir, "seen")
	_ = os.Remove(list)
	start := time.Now()
	if out, err := b.run(time.Hour, "MUTANTS_SEEN="+list); err != nil {
		return fmt.Errorf("the tests of %s fail without a change: %w\n%s", b.dir, err, out)
	}
	b.took = time.Since(start)
	f, err := os.Open(list)
	if err != nil {
		return fmt.Errorf("the tests of %s come by no change: %w", b.dir, err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if id, err := strconv.Atoi(strings.TrimSpace(lines.Text())); err == nil {
			b.seen[id] = true
		}
	}
	return nil
}

func (b *binary) run(limit time.Duration, env string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, b.path, slices.Concat([]string{"-test.failfast"}, b.args)...)
	c.Dir, c.Env, c.WaitDelay = b.dir, append(os.Environ(), env), time.Second
	return c.CombinedOutput()
}

// try switches one change on. Tests that take ten times as long as without it notice it too.
func try(binaries []*binary, m mutant) (noticed, seen bool) {
	for _, b := range binaries {
		if !b.seen[m.id] {
			continue
		}
		seen = true
		if _, err := b.run(10*b.took+5*time.Second, "MUTANT="+strconv.Itoa(m.id)); err != nil {
			return true, true
		}
	}
	return false, seen
}
