package containertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// PostgreSQL is an image with a server of the Debian package postgresql, whose programs (postgres, initdb, psql) are in a directory of this
// machine, and a shell. The user postgres has the number that it has in the image docker.io/library/postgres.
func PostgreSQL(ctx context.Context, name, programs string) (Image, error) {
	i := Box(name)
	for _, tool := range []string{"cat", "mv", "rm", "sync"} {
		i.Links["bin/"+tool] = "busybox"
	}
	i.Env = []string{"PATH=" + programs + ":/bin"}
	i.Text = map[string]string{
		"etc/passwd": "root:x:0:0:root:/:/bin/sh\npostgres:x:999:999:postgres:/var/lib/postgresql:/bin/sh\n",
		"etc/group":  "root:x:0:\npostgres:x:999:\n",
	}
	plugins, err := filepath.Glob(filepath.Join(filepath.Dir(programs), "lib", "*.so"))
	if err != nil {
		return i, err
	}
	var elves []string
	for _, program := range []string{"postgres", "initdb", "psql"} {
		elves = append(elves, filepath.Join(programs, program))
	}
	for _, plugin := range plugins {
		// The compiler of queries would be most of the image.
		if !strings.HasPrefix(filepath.Base(plugin), "llvmjit") {
			elves = append(elves, plugin)
		}
	}
	if err := i.programs(ctx, elves...); err != nil {
		return i, err
	}
	version := filepath.Base(filepath.Dir(programs))
	return i, errors.Join(i.tree("/usr/share/postgresql/"+version), i.tree("/usr/lib/locale/C.utf8"))
}

// programs adds programs or libraries of this machine where they are on it, with the libraries that they need.
func (i *Image) programs(ctx context.Context, paths ...string) error {
	out, err := exec.CommandContext(ctx, "ldd", paths...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("looking for the libraries of %s and others: %w: %s", paths[0], err, bytes.TrimSpace(out))
	}
	for line := range strings.Lines(string(out)) {
		// As in `libz.so.1 => /lib/libz.so.1 (0x7f...)` and `/lib64/ld-linux-x86-64.so.2 (0x7f...)`.
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") && !strings.HasSuffix(word, ":") {
				paths = append(paths, word)
			}
		}
	}
	for _, path := range paths {
		i.Files[strings.TrimPrefix(path, "/")] = path
	}
	return nil
}

// tree adds the files of a directory of this machine.
func (i *Image) tree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return err
		}
		i.Files[strings.TrimPrefix(path, "/")] = path
		return nil
	})
}
