package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"
)

const (
	// reconnect bounds the pause between attempts to reach a containerd that was gone.
	reconnect = 2 * time.Second
	// knocks are the attempts to reach one that does not seem to be there.
	knocks, knockPause = 4, 25 * time.Millisecond
	// registries is where this host's administrator says how registries are reached, and with which credentials (containerd's hosts.toml).
	registries = "/etc/containerd/certs.d"
)

// daemon is the containerd behind a socket. The connection is made at the first use, and again whenever it is lost.
type daemon struct {
	socket string

	mu     sync.Mutex
	client *containerd.Client
}

func newContainerd(socket string) *daemon {
	// What the client's libraries have to say comes back as errors; their log would be a second one beside the agent's.
	log.L.Logger.SetOutput(io.Discard)
	return &daemon{socket: socket}
}

// use returns the client, and ctx in Quorate's namespace.
func (d *daemon) use(ctx context.Context) (context.Context, *containerd.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client == nil {
		client, err := containerd.New(d.socket, containerd.WithTimeout(reconnect))
		if err != nil {
			return ctx, nil, fmt.Errorf("connecting to containerd: %w", err)
		}
		d.client = client
	}
	return namespaces.WithNamespace(ctx, Namespace), d.client, nil
}

// Answers implements engine.
func (d *daemon) Answers(ctx context.Context) error {
	ctx, client, err := d.use(ctx)
	if err != nil {
		return err
	}
	if _, err := os.Stat(d.socket); err != nil {
		return err // or the client would wait for it to appear
	}
	for range knocks {
		if _, err = client.Version(ctx); err == nil {
			return nil
		}
		// It may be back already, and the client still in its pause before the next attempt.
		if conn, ok := client.Conn().(interface{ ResetConnectBackoff() }); ok {
			conn.ResetConnectBackoff()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(knockPause):
		}
	}
	return err
}

// HasImage implements engine.
func (d *daemon) HasImage(ctx context.Context, ref string) (bool, error) {
	ctx, client, err := d.use(ctx)
	if err != nil {
		return false, err
	}
	_, err = client.GetImage(ctx, ref)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Pull implements engine.
func (d *daemon) Pull(ctx context.Context, ref string) error {
	ctx, client, err := d.use(ctx)
	if err != nil {
		return err
	}
	resolver := docker.NewResolver(docker.ResolverOptions{
		Hosts: config.ConfigureHosts(ctx, config.HostOptions{HostDir: config.HostDirFromRoot(registries)}),
	})
	_, err = client.Pull(ctx, ref, containerd.WithResolver(resolver), containerd.WithPullUnpack)
	return err
}

// Prepare implements engine.
func (d *daemon) Prepare(ctx context.Context, p *plan) (*prepared, error) {
	ctx, client, err := d.use(ctx)
	if err != nil {
		return nil, err
	}
	// Nothing of what is being made is collected before it hangs together.
	ctx, done, err := client.WithLease(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = done(context.WithoutCancel(ctx)) }()
	image, err := client.GetImage(ctx, p.image)
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("%w: %s", errNoImage, p.image)
	}
	if err != nil {
		return nil, err
	}
	if unpacked, err := image.IsUnpacked(ctx, ""); err != nil || !unpacked {
		if err := image.Unpack(ctx, ""); err != nil {
			return nil, fmt.Errorf("unpacking the image %s: %w", p.image, err)
		}
	}
	made := &prepared{}
	name, err := containerd.GetOCIStopSignal(ctx, image, "SIGTERM")
	if err != nil {
		return nil, fmt.Errorf("reading the image %s: %w", p.image, err)
	}
	made.stopSignal = unix.SignalNum(name)
	spec, err := specOf(p, image)
	if err != nil {
		return nil, err
	}
	box, err := client.NewContainer(ctx, p.id, containerd.WithImage(image), containerd.WithNewSnapshot(p.id, image),
		containerd.WithContainerLabels(p.labels), containerd.WithNewSpec(spec...))
	if err != nil {
		return nil, err
	}
	task, err := box.NewTask(ctx, cio.LogFile(p.log))
	if err != nil {
		return nil, err
	}
	made.pid = int(task.Pid())
	return made, nil
}

// task is that of a container.
func (d *daemon) task(ctx context.Context, id string) (context.Context, containerd.Container, containerd.Task, error) {
	ctx, client, err := d.use(ctx)
	if err != nil {
		return ctx, nil, nil, err
	}
	box, err := client.LoadContainer(ctx, id)
	if err != nil {
		return ctx, nil, nil, err
	}
	task, err := box.Task(ctx, nil)
	return ctx, box, task, err
}

// Start implements engine.
func (d *daemon) Start(ctx context.Context, id string) error {
	ctx, _, task, err := d.task(ctx, id)
	if err != nil {
		return err
	}
	return task.Start(ctx)
}

// Exec implements engine.
func (d *daemon) Exec(ctx context.Context, id, execID string, command []string, output io.Writer) (uint32, error) {
	ctx, box, task, err := d.task(ctx, id)
	if err != nil {
		return 0, err
	}
	spec, err := box.Spec(ctx)
	if err != nil {
		return 0, err
	}
	process := *spec.Process
	process.Args, process.Terminal = command, false
	p, err := task.Exec(ctx, execID, &process, cio.NewCreator(cio.WithStreams(nil, output, output)))
	if err != nil {
		return 0, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
		defer cancel()
		_, _ = p.Delete(ctx, containerd.WithProcessKill)
	}()
	ended, err := p.Wait(ctx)
	if err != nil {
		return 0, err
	}
	if err := p.Start(ctx); err != nil {
		return 0, err
	}
	select {
	case status := <-ended:
		code, _, err := status.Result()
		if err == nil {
			p.IO().Wait() // what it has printed is read
		}
		return code, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Exit implements engine.
func (d *daemon) Exit(ctx context.Context, id string) (uint32, bool, error) {
	ctx, _, task, err := d.task(ctx, id)
	if err != nil {
		return 0, false, err
	}
	status, err := task.Status(ctx)
	return status.ExitStatus, err == nil && status.Status == containerd.Stopped, err
}

// Remove implements engine.
func (d *daemon) Remove(ctx context.Context, id, uid string) error {
	ctx, client, err := d.use(ctx)
	if err != nil {
		return err
	}
	box, err := client.LoadContainer(ctx, id)
	if errdefs.IsNotFound(err) {
		// An interrupted start may have got no further than the file system.
		if err := client.SnapshotService("").Remove(ctx, id); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	labels, err := box.Labels(ctx)
	if err != nil {
		return err
	}
	if labels[labelUID] != uid {
		return fmt.Errorf("%w: %s", errForeign, id)
	}
	task, err := box.Task(ctx, nil)
	if err == nil {
		_, err = task.Delete(ctx, containerd.WithProcessKill)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	if err := box.Delete(ctx, containerd.WithSnapshotCleanup); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// Dead implements engine.
func (d *daemon) Dead(ctx context.Context, age time.Duration) (map[string]string, error) {
	ctx, client, err := d.use(ctx)
	if err != nil {
		return nil, err
	}
	boxes, err := client.Containers(ctx, fmt.Sprintf("labels.%q", labelUID))
	if err != nil {
		return nil, err
	}
	dead := map[string]string{}
	var failed []error
	for _, box := range boxes {
		info, err := box.Info(ctx)
		if err != nil || time.Since(info.CreatedAt) < age {
			failed = append(failed, err)
			continue
		}
		task, err := box.Task(ctx, nil)
		if err == nil {
			var status containerd.Status
			status, err = task.Status(ctx)
			if err == nil && status.Status != containerd.Stopped && status.Status != containerd.Created {
				continue
			}
		}
		if err != nil && !errdefs.IsNotFound(err) {
			failed = append(failed, err)
			continue
		}
		dead[box.ID()] = info.Labels[labelUID]
	}
	return dead, errors.Join(failed...)
}
