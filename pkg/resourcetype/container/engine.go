package container

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// Namespace is the containerd namespace of all that is here.
const Namespace = "quorate"

// Labels of a container in containerd.
const (
	labelUID       = "quorate.io/resource-uid"
	labelCluster   = "quorate.io/cluster"
	labelNamespace = "quorate.io/namespace"
	labelGroup     = "quorate.io/group"
	labelResource  = "quorate.io/resource"
)

// What an engine's errors say that a caller must tell apart.
var (
	// errNoImage says that the host does not have the image.
	errNoImage = errors.New("the image is not on this host")
	// errForeign says that a container has the id and is not the resource's.
	errForeign = errors.New("a container of this id is there already, and is not this resource's")
)

// engine is what is needed of a container engine. Every method obeys its context, which always has a deadline.
type engine interface {
	// Answers says whether the engine is there.
	Answers(ctx context.Context) error
	// HasImage says whether an image is on the host, complete.
	HasImage(ctx context.Context, ref string) (bool, error)
	// Pull fetches an image from its registry.
	Pull(ctx context.Context, ref string) error
	// Prepare makes the container and its first process, which waits for Start before it becomes the command. errors.Is errNoImage.
	Prepare(ctx context.Context, p *plan) (*prepared, error)
	// Start lets the command run.
	Start(ctx context.Context, id string) error
	// Exec runs a command in the container, with the rights of its processes, and returns the exit code.
	Exec(ctx context.Context, id, execID string, command []string, output io.Writer) (uint32, error)
	// Exit tells how the container ended; known is false while it runs and when nobody knows.
	Exit(ctx context.Context, id string) (status uint32, known bool, err error)
	// Remove removes the container, whatever runs in it, and its file system. One that is not there is no error. errors.Is errForeign.
	Remove(ctx context.Context, id, uid string) error
	// Dead lists the containers of resources that were made at least so long ago and in which nothing runs, by id, with their resources' UIDs.
	Dead(ctx context.Context, age time.Duration) (map[string]string, error)
}

// prepared is a container that waits for its start.
type prepared struct {
	// pid of its first process, as this host sees it.
	pid int
	// stopSignal that the image asks for; 0 when it asks for none.
	stopSignal unix.Signal
}

// plan is all that an engine needs to know to make a container.
type plan struct {
	id, image  string
	user       string // empty for the image's own
	labels     map[string]string
	command    []string
	env        []string
	mounts     []bind
	devices    []string
	hostName   string
	ownNetwork bool
	// cgroup is the path below the root of the host's control groups.
	cgroup string
	limits limits
	// log is the file that gets the output.
	log string
}

// bind is a directory of the host that the container sees.
type bind struct {
	source, target string
	readOnly       bool
}

// limits are zero where there is none.
type limits struct {
	milliCPU, memory, processes int64
}
