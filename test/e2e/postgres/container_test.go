package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/quorate/quorate/pkg/resourcetype/container"
	"github.com/quorate/quorate/pkg/resourcetype/container/containertest"
	"github.com/quorate/quorate/test/e2e/beside"
)

const (
	// imageInSample comes from a registry, which the lab does not reach.
	imageInSample = "docker.io/library/postgres:17"
	// image has the server that is installed on this machine.
	image = "quorate.test/postgres:1"
)

// imageFile is the image in a file.
func imageFile(t *testing.T) string {
	t.Helper()
	made, err := containertest.PostgreSQL(t.Context(), image, programs(t))
	must(t, err)
	return beside.SaveImage(t, made)
}

// equip gives a host that was started what it needs beside Debian's packages: for a container, containerd and the image.
func (v variant) equip(t *testing.T, ctx context.Context, host string) {
	t.Helper()
	if !v.boxed {
		return
	}
	beside.RunContainerd(t, ctx, bed.Lab, host)
	beside.ImportImage(t, ctx, bed.Lab, host, v.imageFile)
}

// container is the id of the server's container.
func (v variant) container(t *testing.T, ctx context.Context, host string) string {
	t.Helper()
	out, err := bed.Exec(ctx, host, "ctr", "-n", container.Namespace, "containers", "ls", "-q",
		fmt.Sprintf("labels.%q==%s-postgres", "quorate.io/resource", v.group))
	must(t, err)
	id := strings.TrimSpace(out)
	if id == "" || strings.Contains(id, "\n") {
		t.Fatalf("the containers of %s on %s are %q", v.group, host, id)
	}
	return id
}
