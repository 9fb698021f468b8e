package genericapplication

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
)

const (
	defaultProbeTimeout = 5 * time.Second
	// pollFast and pollExec are how often a starting process is asked whether it is ready.
	pollFast = 5 * time.Millisecond
	pollExec = 50 * time.Millisecond
)

// readiness is the check that a process must pass to count as online: the thorough one, else the quick one, else none.
func readiness(h *v1alpha1.Health) *v1alpha1.Probe {
	switch {
	case h == nil:
		return nil
	case h.IsAlive != nil:
		return h.IsAlive
	default:
		return h.LooksAlive
	}
}

func probeInterval(p *v1alpha1.Probe) time.Duration {
	if p.Exec != nil {
		return pollExec
	}
	return pollFast
}

// probe runs one check; nil means healthy.
func (t *Type) probe(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.GenericApplication, probe *v1alpha1.Probe) error {
	timeout := defaultProbeTimeout
	if probe.Timeout != nil {
		timeout = probe.Timeout.Duration
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case probe.HTTP != nil:
		return probeHTTP(ctx, probe.HTTP)
	case probe.TCP != nil:
		return probeTCP(ctx, probe.TCP)
	case probe.Exec != nil:
		return probeExec(ctx, inst, p, probe.Exec)
	default:
		return nil
	}
}

func hostPort(host string, port int32) string {
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

func probeHTTP(ctx context.Context, p *v1alpha1.HTTPProbe) error {
	path, query, _ := strings.Cut(p.Path, "?")
	target := url.URL{Scheme: "http", Host: hostPort(p.Host, p.Port), Path: path, RawQuery: query}
	if p.Scheme == v1alpha1.SchemeHTTPS {
		target.Scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", target.String(), err)
	}
	req.Header.Set("User-Agent", "quorate-agent")
	// A connection of its own for each check: one that is kept alive would not notice a server that accepts no more. Redirects count
	// as healthy, so they are not followed. The certificate is that of the clients' name, which this check does not use.
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, Proxy: nil,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // documented: certificates are not verified
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("health check: %s answers %s", target.String(), resp.Status)
	}
	return nil
}

func probeTCP(ctx context.Context, p *v1alpha1.TCPProbe) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", hostPort(p.Host, p.Port))
	if err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	_ = conn.Close()
	return nil
}

// probeExec runs a command in the application's cgroup, so that it ends with it.
func probeExec(ctx context.Context, inst *resourcetype.Instance, p *v1alpha1.GenericApplication, probe *v1alpha1.ExecProbe) error {
	cg, r, err := cgroupOf(inst)
	if err != nil {
		return err
	}
	argv, err := inVirtualServer(inst, p, &r, probe.Command)
	if err != nil {
		return fmt.Errorf("health check %s: %w", probe.Command[0], err)
	}
	dir, err := cg.Open()
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	env, err := environment(inst, p)
	if err != nil {
		return err
	}
	var output limited
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = env, p.WorkingDir, &output, &output
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// Descendants that keep the output open do not hold the check up.
	cmd.WaitDelay = 100 * time.Millisecond
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("health check %s: %w: %s", probe.Command[0], err, bytes.TrimSpace(output.buf.Bytes()))
	}
	return nil
}

// most is how much of a check's output goes into an error message.
const most = 400

// limited keeps the beginning of an output.
type limited struct{ buf bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := most - l.buf.Len(); room > 0 {
		l.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
