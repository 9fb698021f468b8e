package machine

import (
	"archive/tar"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// pack writes the second disk: a tar archive with the files and the script. The caller removes it.
func pack(spec Spec) (string, error) {
	out, err := os.CreateTemp("", "quorate-guest-*.tar")
	if err != nil {
		return "", fmt.Errorf("making the payload: %w", err)
	}
	defer out.Close()
	w := tar.NewWriter(out)
	script := "#!/bin/sh\n" + spec.Script + "\n"
	err = w.WriteHeader(&tar.Header{Name: "run", Mode: 0o755, Size: int64(len(script))})
	if err == nil {
		_, err = io.WriteString(w, script)
	}
	if err == nil && spec.UnderSystemd {
		err = w.WriteHeader(&tar.Header{Name: "under-systemd", Mode: 0o644})
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Files)) {
		if err == nil {
			err = add(w, name, spec.Files[name])
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		os.Remove(out.Name())
		return "", fmt.Errorf("making the payload: %w", err)
	}
	return out.Name(), nil
}

func add(w *tar.Writer, name, file string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}

// Quote makes one word of the shell out of a string.
func Quote(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
