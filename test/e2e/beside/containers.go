package beside

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/quorate/quorate/pkg/resourcetype/container"
	"github.com/quorate/quorate/pkg/resourcetype/container/containertest"
	"github.com/quorate/quorate/test/lab"
	"github.com/quorate/quorate/test/observe"
)

// RunContainerd starts a containerd on a simulated host, in the host's own namespaces, or starts it again, and waits until it answers. A host
// that has lost its power since has none, and no images.
func RunContainerd(t *testing.T, ctx context.Context, l *lab.Lab, host string) {
	t.Helper()
	script := "mkdir -p /run/containerd && cat >/run/containerd/config.toml <<'END'\n" + containertest.Config("/var/lib/containerd", "/run/containerd") +
		"END\nsetsid containerd -c /run/containerd/config.toml >>/var/log/containerd.log 2>&1 </dev/null &"
	if out, err := l.Exec(ctx, host, "/bin/sh", "-c", script); err != nil {
		t.Fatalf("starting containerd on %s: %v: %s", host, err, out)
	}
	Must(t, observe.Wait(ctx, Recovery, "containerd answers on "+host, func(ctx context.Context) (bool, string, error) {
		out, err := l.Exec(ctx, host, "ctr", "--connect-timeout", "1s", "version")
		return err == nil, out, nil
	}))
}

// StopContainerd ends it, and takes its images away: the next test begins without.
func StopContainerd(ctx context.Context, l *lab.Lab, hosts ...string) {
	const script = `export CONTAINERD_NAMESPACE=$0; ctr --connect-timeout 1s images ls -q | xargs -r ctr images rm --sync; pkill -9 -x containerd`
	for _, host := range hosts {
		_, _ = l.Exec(ctx, host, "sh", "-c", script, container.Namespace) // one that has lost its power since has none
	}
}

// SaveImage writes an image to a file for ImportImage.
func SaveImage(t *testing.T, image containertest.Image) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "image.tar"))
	Must(t, err)
	_, err = image.WriteTo(file)
	Must(t, err)
	Must(t, file.Close())
	return file.Name()
}

// ImportImage gives a simulated host's containerd the image of a file.
func ImportImage(t *testing.T, ctx context.Context, l *lab.Lab, host, file string) {
	t.Helper()
	in, err := os.Open(file)
	Must(t, err)
	defer func() { _ = in.Close() }()
	// The host sees this directory as /var/log.
	path := filepath.Join(filepath.Dir(l.LogFile(host, "containerd")), "image.tar")
	out, err := os.Create(path)
	Must(t, err)
	defer func() { Must(t, os.Remove(path)) }()
	_, err = io.Copy(out, in)
	Must(t, err)
	Must(t, out.Close())
	if out, err := l.Exec(ctx, host, "ctr", "-n", container.Namespace, "images", "import", "/var/log/image.tar"); err != nil {
		t.Fatalf("importing the image on %s: %v: %s", host, err, out)
	}
}
