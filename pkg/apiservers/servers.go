package apiservers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
)

const (
	// ProbeInterval is how often Run asks the server in use whether it is ready.
	ProbeInterval = time.Second
	// ProbeTimeout bounds the answer.
	ProbeTimeout = time.Second
	// hedge is how long the server in use has for its answer before the others are asked as well.
	hedge = 250 * time.Millisecond
	// dialTimeout bounds the making of a connection, and again its TLS handshake.
	dialTimeout = time.Second
	// pingAfter is how long a connection may be silent before a ping is sent on it, pingTimeout how long that may be unanswered. Where
	// there is no other server to go to, one that is only slow is given more time.
	pingAfter       = 500 * time.Millisecond
	pingTimeout     = 750 * time.Millisecond
	pingTimeoutOnly = 2 * time.Second
)

// Servers are the servers of one API. It is safe for concurrent use.
type Servers struct {
	config *rest.Config
	all    []*server
	// current is the index of the server in use.
	current atomic.Int64
	// switched is told, in its own time, of each change.
	mu       sync.Mutex
	switched func(from, to string, why error)
}

// New makes the servers: that of config first, then the others by their URLs; one that comes twice counts once. It does not connect.
func New(config *rest.Config, others []string) (*Servers, error) {
	if config.Transport != nil {
		return nil, errors.New("the configuration of the client has a transport already")
	}
	first, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("the API server %q: %w", config.Host, err)
	}
	urls := []*url.URL{first}
	for _, other := range others {
		u, err := parse(other, first)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(urls, func(o *url.URL) bool { return o.Host == u.Host }) {
			urls = append(urls, u)
		}
	}
	s := &Servers{config: config, switched: func(string, string, error) {}}
	if config.ExecProvider != nil || config.AuthProvider != nil {
		// Their credentials belong to client-go's own transport.
		if len(urls) > 1 {
			return nil, errors.New("several API servers need a client certificate or a token; a credential plugin is for one only")
		}
	}
	ping := pingTimeout
	if len(urls) == 1 {
		ping = pingTimeoutOnly
	}
	for _, u := range urls {
		one, err := newServer(config, u, ping)
		if err != nil {
			return nil, err
		}
		s.all = append(s.all, one)
	}
	return s, nil
}

func parse(server string, first *url.URL) (*url.URL, error) {
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Scheme != first.Scheme || u.Host == "":
		return nil, fmt.Errorf("the API server %q is no URL like %s://HOST:PORT", server, first.Scheme)
	case strings.TrimSuffix(u.Path, "/") != strings.TrimSuffix(first.Path, "/"):
		return nil, fmt.Errorf("the API server %q has another path than %s", server, first)
	}
	return u, nil
}

// Config is for clients: a copy of the configuration whose requests go to the server in use. With a credential plugin it is the
// configuration itself.
func (s *Servers) Config() *rest.Config {
	c := rest.CopyConfig(s.config)
	if c.ExecProvider != nil || c.AuthProvider != nil {
		return c
	}
	c.Transport, c.TLSClientConfig, c.Dial, c.Proxy = s, rest.TLSClientConfig{}, nil, nil
	c.Host = s.all[0].url.Scheme + "://" + s.all[0].url.Host
	return c
}

// OnSwitch sets what is told when another server is taken into use. It must not block.
func (s *Servers) OnSwitch(f func(from, to string, why error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.switched = f
}

// Current is the host and port of the server in use.
func (s *Servers) Current() string { return s.using().url.Host }

// Hosts are the hosts and ports of all servers.
func (s *Servers) Hosts() []string {
	hosts := make([]string, 0, len(s.all))
	for _, one := range s.all {
		hosts = append(hosts, one.url.Host)
	}
	return hosts
}

func (s *Servers) using() *server { return s.all[s.current.Load()] }

// CloseAll closes all connections, whatever is under way on them.
func (s *Servers) CloseAll() {
	for _, one := range s.all {
		one.closeAll()
	}
}

// abandon takes another server into use instead of one that has failed, unless that is done already. The connections to it are closed,
// so that what waits on them goes on with the other.
func (s *Servers) abandon(failed, next *server, why error) {
	if failed == next {
		return
	}
	if !s.current.CompareAndSwap(int64(slices.Index(s.all, failed)), int64(slices.Index(s.all, next))) {
		return
	}
	s.mu.Lock()
	tell := s.switched
	s.mu.Unlock()
	tell(failed.url.Host, next.url.Host, why)
	failed.closeAll()
}

// after are the other servers, in the order in which they are tried when one has failed.
func (s *Servers) after(one *server) []*server {
	i := slices.Index(s.all, one)
	return append(slices.Clone(s.all[i+1:]), s.all[:i]...)
}

// Probe asks the server in use for /readyz, and the others too when it has not answered after a short while. If it is not ready the
// first of them that is, is used from then on. The error says why none is. It takes a ProbeTimeout at most.
func (s *Servers) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ProbeTimeout)
	defer cancel()
	one := s.using()
	others := s.after(one)
	mine := make(chan error, 1)
	go func() { mine <- one.probe(ctx) }()
	timer := time.NewTimer(hedge)
	defer timer.Stop()
	var err error
	answered := true
	select {
	case err = <-mine:
		if err == nil {
			return nil
		}
	case <-timer.C:
		answered = false
	}
	answers := make(chan answer, len(others))
	for _, o := range others {
		go func() { answers <- answer{o, o.probe(ctx)} }()
	}
	if !answered {
		if err = <-mine; err == nil {
			return nil
		}
	}
	failures := []error{err}
	for range others {
		a := <-answers
		if a.err == nil {
			s.abandon(one, a.from, err)
			return nil
		}
		failures = append(failures, a.err)
	}
	return errors.Join(failures...)
}

type answer struct {
	from *server
	err  error
}

// LogSwitches tells the log when another server is taken into use.
func (s *Servers) LogSwitches(log logr.Logger) {
	s.OnSwitch(func(from, to string, why error) {
		log.Info("Another API server is used", "from", from, "to", to, "reason", why.Error())
	})
}

// Run probes until ctx ends, and logs when another server is taken into use.
func (s *Servers) Run(ctx context.Context, log logr.Logger) {
	s.LogSwitches(log)
	ticker := time.NewTicker(ProbeInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// That none is ready is no news here: every request says so.
			_ = s.Probe(ctx)
		}
	}
}

// RoundTrip implements http.RoundTripper.
func (s *Servers) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil {
		defer request.Body.Close() // what is sent is a copy of it
	}
	one := s.using()
	var failures []error
	for _, next := range append(s.after(one), nil) {
		response, repeatable, err := one.roundTrip(request)
		if err == nil {
			s.watchBody(response, one)
			return response, nil
		}
		failures = append(failures, err)
		if request.Context().Err() != nil {
			break // it says nothing of the server
		}
		if next != nil {
			s.abandon(one, next, err)
		}
		if next == nil || !repeatable {
			break
		}
		one = next
	}
	return nil, errors.Join(failures...)
}
