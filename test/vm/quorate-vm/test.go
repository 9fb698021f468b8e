package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate/quorate/test/vm/guest"
	"github.com/quorate/quorate/test/vm/machine"
)

// guestPackage is what a package imports whose tests are for the guest.
const guestPackage = "github.com/quorate/quorate/test/vm/guest"

// systemdPackage is what one imports whose tests need systemd as well.
const systemdPackage = guestPackage + "/systemd"

func (f *flags) test() *cobra.Command {
	o := &testOptions{}
	cmd := &cobra.Command{
		Use: "test PACKAGES", Short: "Run the tests named TestGuest... of packages that import test/vm/guest, each package in a guest of its own",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := f.find()
			if err != nil {
				return err
			}
			packages, err := packagesForTheGuest(cmd.Context(), args)
			if err != nil {
				return err
			}
			if failed := f.testAll(cmd.Context(), dir, packages, o); failed > 0 {
				return fmt.Errorf("%d of %d packages failed in the guest", failed, len(packages))
			}
			return cmd.Context().Err()
		},
	}
	cmd.Flags().StringVar(&o.pattern, "run", "^TestGuest", "tests to run, as go test's -run")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "show the output of failed packages only")
	cmd.Flags().IntVarP(&o.jobs, "jobs", "j", runtime.NumCPU(), "guests at a time; a guest has one processor")
	return cmd
}

// testOptions are what `test` is told.
type testOptions struct {
	pattern string
	quiet   bool
	jobs    int
	// printing keeps the output of packages that run at the same time apart.
	printing sync.Mutex
}

// testAll tests so many packages at a time and returns how many failed.
func (f *flags) testAll(ctx context.Context, dir string, packages []goPackage, o *testOptions) int {
	var failed atomic.Int32
	var all sync.WaitGroup
	places := make(chan struct{}, max(1, o.jobs))
	for _, p := range packages {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			if err := f.testPackage(ctx, dir, p, o); err != nil {
				o.printing.Lock()
				defer o.printing.Unlock()
				fmt.Printf("FAIL\t%s (in the guest)\n%v\n", p.ImportPath, err)
				failed.Add(1)
			}
		})
	}
	all.Wait()
	return int(failed.Load())
}

// testPackage compiles the tests of a package and runs them in a guest.
func (f *flags) testPackage(ctx context.Context, dir string, p goPackage, o *testOptions) error {
	work, err := os.MkdirTemp("", "quorate-vm-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	binary := filepath.Join(work, "package.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", binary, p.ImportPath)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("does not build: %w\n%s", err, out)
	}
	files := map[string]string{"package.test": binary}
	if err := addTestdata(files, p.Dir); err != nil {
		return err
	}
	var seen bytes.Buffer
	var output io.Writer = &seen
	alone := o.jobs <= 1
	if !o.quiet && alone {
		output = io.MultiWriter(&seen, os.Stdout)
	}
	began := time.Now()
	err = f.start(ctx, machine.Spec{
		Dir: dir, Files: files, Output: output, UnderSystemd: p.imports(systemdPackage),
		Script: invocation("package.test", []string{"-test.v", "-test.run", o.pattern, "-test.timeout", f.limit.String()}),
	})
	passed := strings.Count(seen.String(), "--- PASS: ")
	skipped := strings.Count(seen.String(), "--- SKIP: ") - strings.Count(seen.String(), guest.LeftOut)
	switch {
	case err == nil && passed == 0:
		err = fmt.Errorf("no test matches %s", o.pattern)
	case err == nil && skipped > 0:
		err = errors.New("a test was skipped: in the guest every one has to run")
	}
	o.printing.Lock()
	defer o.printing.Unlock()
	if err != nil && o.quiet || !o.quiet && !alone {
		fmt.Print(seen.String())
	}
	if err != nil {
		return err
	}
	fmt.Printf("ok  \t%s (in the guest)\t%.1fs\n", p.ImportPath, time.Since(began).Seconds())
	return nil
}

// addTestdata brings the package's testdata along.
func addTestdata(files map[string]string, dir string) error {
	root := filepath.Join(dir, "testdata")
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return filepath.WalkDir(root, func(file string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err == nil {
			files[path.Clean(filepath.ToSlash(name))] = file
		}
		return err
	})
}

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath, Dir           string
	TestImports, XTestImports []string
	TestGoFiles               []string
}

// imports reports whether the package's tests import the other one.
func (p goPackage) imports(other string) bool {
	return slices.Contains(p.TestImports, other) || slices.Contains(p.XTestImports, other)
}

// forTheGuest reports whether the package's tests use the guest.
func (p goPackage) forTheGuest() bool {
	return p.imports(guestPackage) || p.imports(systemdPackage) || p.ImportPath == guestPackage && len(p.TestGoFiles) > 0
}

// packagesForTheGuest finds them among the patterns of go list.
func packagesForTheGuest(ctx context.Context, patterns []string) ([]goPackage, error) {
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-json=ImportPath,Dir,TestImports,XTestImports,TestGoFiles"}, patterns...)...)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var found []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading go list: %w", err)
		}
		if p.forTheGuest() {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("none of %v has tests that import %s", patterns, guestPackage)
	}
	return found, nil
}
