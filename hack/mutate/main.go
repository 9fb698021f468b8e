package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
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

// options say which changes are tried.
type options struct {
	every, first int
	in           string
	limit        time.Duration
	results      string
}

func main() {
	var o options
	flag.IntVar(&o.every, "every", 1, "try every so manieth change only")
	flag.IntVar(&o.first, "first", 1, "number of the first change to try")
	flag.StringVar(&o.in, "in", "", "change only files whose name has this in it")
	flag.DurationVar(&o.limit, "for", 0, "try no more after this time (0: all)")
	flag.StringVar(&o.results, "results", "", "file that gets each outcome as it comes; what was noticed by it is not tried again while its function stays as it is")
	flag.Parse()
	for _, pkg := range flag.Args() {
		if err := run(pkg, o); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func run(pkg string, o options) error {
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	record, err := openResults(o.results)
	if err != nil {
		return err
	}
	defer record.close()
	start := time.Now()
	var all []mutant
	binaries, err := build(pkg, dir, &all)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "pkg/%s: %d changes, built and looked through in %s\n", pkg, len(all), time.Since(start).Round(time.Second))
	return tryAll(pkg, all, binaries, o, record)
}

func tryAll(pkg string, all []mutant, binaries []*binary, o options, record *results) error {
	var tried, killed, survived, unseen int
	start := time.Now()
	told := start
	for i := o.first - 1; i < len(all) && (o.limit == 0 || time.Since(start) < o.limit); i += o.every {
		m := all[i]
		if !strings.Contains(filepath.Base(m.file), o.in) {
			continue
		}
		out, known := record.noticed(m)
		if !known {
			out = try(binaries, m)
			if err := record.add(m, out); err != nil {
				return err
			}
		}
		tried++
		switch {
		case out.by != "":
			killed++
		case out.seen:
			survived++
			fmt.Println("survived:", m)
		default:
			unseen++
			fmt.Println("no test comes by:", m)
		}
		if time.Since(told) > 20*time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "%d of %d: %d tried, %d not noticed, %s\n", i+1, len(all), tried, survived+unseen, time.Since(start).Round(time.Second))
		}
	}
	fmt.Printf("pkg/%s: %d changes, %d tried, %d noticed (%.1f %%), %d survived, %d that no test comes by, in %s\n", pkg, len(all), tried, killed,
		100*float64(killed)/float64(max(1, tried)), survived, unseen, time.Since(start).Round(time.Second))
	return nil
}
