package probing

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
)

const (
	// DefaultTimeout is how long a check may take that names no timeout.
	DefaultTimeout = 5 * time.Second
	// PollFast is how often what is starting is asked over a connection whether it is ready.
	PollFast = 5 * time.Millisecond
	// PollExec is how often it is asked by a command.
	PollExec = 50 * time.Millisecond
)

// Dial makes a connection in the network of what is checked.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Host dials in the host's network.
func Host(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// Readiness is the check that must pass for a resource to count as online: the thorough one, else the quick one, else none.
func Readiness(looksAlive, isAlive *v1alpha1.Probe) *v1alpha1.Probe {
	if isAlive != nil {
		return isAlive
	}
	return looksAlive
}

// Await waits until what has been started is ready: the check passes, or without a check settle has passed. wait returns nil when the process
// has ended, else an error when its context has. ended says that the process ended first; err that ctx did, with the last word of the check.
func Await(
	ctx context.Context, check *v1alpha1.Probe, settle time.Duration, wait func(context.Context) error, run func(context.Context, *v1alpha1.Probe) error,
) (ended bool, err, last error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	exited := make(chan error, 1)
	// A check of a process that has ended is of no use: it may hang, or be answered by somebody else.
	checking, end := context.WithCancel(ctx)
	defer end()
	go func() { exited <- wait(ctx); end() }()
	interval := settle
	switch {
	case check == nil:
	case check.Exec != nil:
		interval = PollExec
	default:
		interval = PollFast
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if check != nil {
			if last = run(checking, check); last == nil && checking.Err() == nil {
				return false, nil, nil
			}
		}
		select {
		case err := <-exited:
			return err == nil, err, last
		case <-tick.C:
			if check == nil {
				return false, nil, nil
			}
		}
	}
}

// Run runs a check within its timeout; nil means healthy. exec runs the commands of those that name one.
func Run(ctx context.Context, p *v1alpha1.Probe, dial Dial, exec func(context.Context, *v1alpha1.ExecProbe) error) error {
	timeout := DefaultTimeout
	if p.Timeout != nil {
		timeout = p.Timeout.Duration
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case p.HTTP != nil:
		return get(ctx, p.HTTP, dial)
	case p.TCP != nil:
		return connect(ctx, p.TCP, dial)
	case p.Exec != nil:
		return exec(ctx, p.Exec)
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

func get(ctx context.Context, p *v1alpha1.HTTPProbe, dial Dial) error {
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
			DisableKeepAlives: true, Proxy: nil, DialContext: dial,
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

func connect(ctx context.Context, p *v1alpha1.TCPProbe, dial Dial) error {
	conn, err := dial(ctx, "tcp", hostPort(p.Host, p.Port))
	if err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	_ = conn.Close()
	return nil
}

// most is how much of a check's output goes into an error message.
const most = 400

// Output keeps the beginning of what a check prints. It must not be copied once written to.
type Output struct{ kept []byte }

// Write never fails.
func (o *Output) Write(p []byte) (int, error) {
	if room := most - len(o.kept); room > 0 {
		o.kept = append(o.kept, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// String is what is kept, in one piece for an error message.
func (o *Output) String() string { return strings.TrimSpace(strings.ToValidUTF8(string(o.kept), "?")) }
