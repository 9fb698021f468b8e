package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// binary is a built test.
type binary struct {
	check
	path   string
	leaves []*leaf
}

// leaf is a test, or a part of one, that has no parts: one scenario, say.
type leaf struct {
	name string
	// seen are the changes that it comes by.
	seen map[int]bool
	took time.Duration
	// noticed counts the changes that it was the first to fail with.
	noticed int
}

// outcome is what became of a change: the test that noticed it, or empty, and whether any came by it.
type outcome struct {
	by   string
	seen bool
}

const (
	// few are tried first: those that have noticed the most so far.
	few = 6
	// slow is a leaf that has a run of its own, after all others.
	slow = 200 * time.Millisecond
	// memory is how much address space a run may have (KiB): a change may make a loop that appends for ever.
	memory = 6 << 20
)

var (
	passed = regexp.MustCompile(`^\s*--- PASS: (\S+) \(`)
	failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+) \(`)
)

// learn runs the tests without a change, one by one, and notes which changes each of them comes by.
func (b *binary) learn(list string) error {
	out, err := b.run(nil, time.Hour, "-test.v")
	if err != nil {
		return fmt.Errorf("the tests of %s fail without a change: %w\n%s", b.dir, err, out)
	}
	var names []string
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if found := passed.FindStringSubmatch(lines.Text()); found != nil {
			names = append(names, found[1])
		}
	}
	for _, name := range names {
		if slices.ContainsFunc(names, func(other string) bool { return strings.HasPrefix(other, name+"/") }) {
			continue
		}
		l := &leaf{name: name, seen: map[int]bool{}}
		_ = os.Remove(list)
		start := time.Now()
		if out, err := b.run([]*leaf{l}, time.Hour, "MUTANTS_SEEN="+list); err != nil {
			return fmt.Errorf("%s of %s fails by itself: %w\n%s", name, b.dir, err, out)
		}
		l.took = time.Since(start)
		seen, err := os.ReadFile(list)
		if err != nil {
			continue // it comes by no change
		}
		for field := range strings.FieldsSeq(string(seen)) {
			if id, err := strconv.Atoi(field); err == nil {
				l.seen[id] = true
			}
		}
		b.leaves = append(b.leaves, l)
	}
	return nil
}

// run runs the leaves (nil: everything) for at most so much CPU time, which does not depend on what else the machine does. What has an
// equals sign and no dash in front of it is for the environment.
func (b *binary) run(leaves []*leaf, limit time.Duration, more ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*limit+time.Minute)
	defer cancel()
	limits := fmt.Sprintf("ulimit -t %d; ulimit -v %d; exec \"$0\" \"$@\"", int(limit.Seconds())+1, memory)
	args := slices.Concat([]string{"-c", limits, b.path, "-test.failfast"}, b.args)
	env := append(os.Environ(), "GOMAXPROCS=1", "GOGC=400")
	for _, m := range more {
		if strings.HasPrefix(m, "-") {
			args = append(args, m)
		} else {
			env = append(env, m)
		}
	}
	if leaves != nil {
		args = append(args, "-test.run="+pattern(leaves))
	}
	c := exec.CommandContext(ctx, "sh", args...)
	c.Dir, c.Env, c.WaitDelay = b.dir, env, time.Second
	return c.CombinedOutput()
}

// pattern matches the leaves and nothing else: Test/part|Test/other.
func pattern(leaves []*leaf) string {
	var names []string
	for _, l := range leaves {
		parts := strings.Split(l.name, "/")
		for i, p := range parts {
			parts[i] = "^" + regexp.QuoteMeta(p) + "$"
		}
		names = append(names, strings.Join(parts, "/"))
	}
	return strings.Join(names, "|")
}

// try switches one change on. Tests that take far longer than without it notice it too.
func try(binaries []*binary, m mutant) outcome {
	var out outcome
	for _, b := range binaries {
		for _, batch := range b.batches(m.id) {
			out.seen = true
			var took time.Duration
			for _, l := range batch {
				took += l.took
			}
			text, err := b.run(batch, time.Second+5*took, "MUTANT="+strconv.Itoa(m.id))
			if err == nil {
				continue
			}
			out.by = b.dir + " took too long"
			if found := failed.FindAllSubmatch(text, -1); found != nil {
				name := string(found[len(found)-1][1])
				out.by = b.dir + " " + name
				for _, l := range batch {
					if l.name == name {
						l.noticed++
					}
				}
			}
			return out
		}
	}
	return out
}

// batches are the leaves that come by the change, in the order in which they are run.
func (b *binary) batches(id int) [][]*leaf {
	var fast, long []*leaf
	for _, l := range b.leaves {
		switch {
		case !l.seen[id]:
		case l.took < slow:
			fast = append(fast, l)
		default:
			long = append(long, l)
		}
	}
	slices.SortStableFunc(fast, func(x, y *leaf) int {
		return cmp.Or(cmp.Compare(y.noticed, x.noticed), cmp.Compare(len(x.seen), len(y.seen)))
	})
	slices.SortStableFunc(long, func(x, y *leaf) int { return cmp.Compare(x.took, y.took) })
	var batches [][]*leaf
	if len(fast) > 0 {
		batches = append(batches, fast[:min(few, len(fast))])
	}
	if len(fast) > few {
		batches = append(batches, fast[few:])
	}
	for _, l := range long {
		batches = append(batches, []*leaf{l})
	}
	return batches
}
