// Package containertest runs a real containerd for tests, with images that the tests make themselves: no registry is asked.
package containertest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// Image is what an image is made of.
type Image struct {
	// Name with its registry and tag, such as quorate.test/box:1.
	Name string
	// Files of the machine by their path in the image, such as bin/busybox.
	Files map[string]string
	// Text is the content of other files.
	Text map[string]string
	// Links are symbolic links in the image: path and target.
	Links map[string]string
	// Command and environment of the image, and the signal that it wants to be stopped with.
	Command    []string
	Env        []string
	StopSignal string
}

// Box is an image with a shell and the tools of busybox, of the Debian package busybox-static.
func Box(name string) Image {
	return Image{Name: name, Files: map[string]string{"bin/busybox": "/usr/bin/busybox"}, Links: map[string]string{"bin/sh": "busybox"}, Command: []string{"/bin/sh"}}
}

// WriteTo writes the image as `docker save` does, for `ctr images import`.
func (i Image) WriteTo(w io.Writer) (int64, error) {
	layer, err := i.layer()
	if err != nil {
		return 0, fmt.Errorf("making the image %s: %w", i.Name, err)
	}
	sum := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Cmd": i.Command, "Env": append([]string{"PATH=/bin"}, i.Env...), "StopSignal": i.StopSignal},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return 0, fmt.Errorf("making the image %s: %w", i.Name, err)
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{i.Name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return 0, fmt.Errorf("making the image %s: %w", i.Name, err)
	}
	var all bytes.Buffer
	out := tar.NewWriter(&all)
	for _, f := range []struct {
		name    string
		content []byte
	}{{"layer.tar", layer}, {"config.json", config}, {"manifest.json", manifest}} {
		if err := add(out, &tar.Header{Name: f.name, Mode: 0o644}, f.content); err != nil {
			return 0, err
		}
	}
	if err := out.Close(); err != nil {
		return 0, err
	}
	return all.WriteTo(w)
}

func (i Image) layer() ([]byte, error) {
	var layer bytes.Buffer
	out := tar.NewWriter(&layer)
	for dir, mode := range map[string]int64{"bin": 0o755, "etc": 0o755, "tmp": 0o1777, "var": 0o755} {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: mode}); err != nil {
			return nil, err
		}
	}
	for path, text := range i.Text {
		if err := add(out, &tar.Header{Name: path, Mode: 0o644}, []byte(text)); err != nil {
			return nil, err
		}
	}
	for path, source := range i.Files {
		content, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		if err := add(out, &tar.Header{Name: path, Mode: 0o755}, content); err != nil {
			return nil, err
		}
	}
	for path, target := range i.Links {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target, Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	err := out.Close()
	return layer.Bytes(), err
}

func add(out *tar.Writer, h *tar.Header, content []byte) error {
	h.Size = int64(len(content))
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err := out.Write(content)
	return err
}

// Config is a configuration of containerd that has all its files below root and state, the latter on a tmpfs, and none of the parts that
// only Kubernetes needs.
func Config(root, state string) string {
	return strings.NewReplacer("ROOT", root, "STATE", state).Replace(`version = 2
root = "ROOT"
state = "STATE"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
address = "STATE/containerd.sock"
`)
}
