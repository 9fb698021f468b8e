package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quorate/quorate/test/lab/host"
)

// Machines are the running hosts of servers, by name.
type Machines map[string]*host.Machine

// Start starts every server whose host runs, and waits until all of these are ready. machines tells which hosts run: one may lose
// its power meanwhile.
func (c *ControlPlane) Start(ctx context.Context, machines func() Machines) error {
	for _, name := range []string{Etcd, APIServer} {
		for _, m := range machines() {
			if err := m.StartProcess(name); err != nil && !gone(m) {
				return err
			}
		}
	}
	return c.waitReady(ctx, machines)
}

// waitReady waits until the API servers say that they are ready. It gives up when a process that nobody starts again has ended.
func (c *ControlPlane) waitReady(ctx context.Context, machines func() Machines) error {
	last := errors.New("no host of an API server has power")
	for {
		running, ready := machines(), 0
		for name, m := range running {
			if err := c.Ready(ctx, c.server(name)); err != nil {
				last = fmt.Errorf("on %s: %w", name, err)
				if err := c.ended(m); err != nil {
					return err
				}
				continue
			}
			ready++
		}
		if ready > 0 && ready == len(running) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server is not ready: %w", last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ended tells of a process that is down and stays so.
func (c *ControlPlane) ended(m *host.Machine) error {
	for _, p := range m.Processes() {
		if !c.onHosts && p.Wanted && p.PID == 0 {
			return fmt.Errorf("%s ended (%s): see its log", p.Name, p.LastExit)
		}
	}
	return nil
}

// Stop stops the API servers, then the etcds: in the other order an API server would not end.
func (c *ControlPlane) Stop(ctx context.Context, machines Machines) error {
	var errs []error
	for _, name := range []string{APIServer, Etcd} {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		var all errgroup.Group
		for _, m := range machines {
			all.Go(func() error {
				if err := m.StopProcess(limited, name); err != nil && !gone(m) {
					return err
				}
				return nil
			})
		}
		errs = append(errs, all.Wait())
		cancel()
	}
	return errors.Join(errs...)
}

// gone says that a host which does not answer has lost its power. That shows a moment after its answers end.
func gone(m *host.Machine) bool {
	select {
	case <-m.Gone():
		return true
	case <-time.After(time.Second):
		return false
	}
}

// Ready asks an API server whether it is ready.
func (c *ControlPlane) Ready(ctx context.Context, s *Server) error {
	_, err := call(ctx, c.api, http.MethodGet, s.URL()+"/readyz", nil)
	return err
}

// call sends a request and returns the answer's body.
func call(ctx context.Context, client *http.Client, method, url string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", answer.Status, content)
	}
	return content, nil
}
