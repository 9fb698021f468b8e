package apiservers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"
)

// server is one API server.
type server struct {
	url       *url.URL
	dialer    *connrotation.Dialer
	transport *http.Transport
	// prober has connections of its own, so that nothing that is under way delays it.
	prober  http.RoundTripper
	probing *http.Transport
}

func newServer(config *rest.Config, u *url.URL, ping time.Duration) (*server, error) {
	c := rest.CopyConfig(config)
	c.Host = u.Scheme + "://" + u.Host
	tlsConfig, err := rest.TLSConfigFor(c)
	if err != nil {
		return nil, fmt.Errorf("the identity for the API server %s: %w", u.Host, err)
	}
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 5 * time.Second}).DialContext
	}
	s := &server{url: u, dialer: connrotation.NewDialer(dial)}
	s.transport = transport(c, s.dialer.DialContext, tlsConfig)
	s.transport.ForceAttemptHTTP2 = true
	s.transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: ping}
	s.probing = transport(c, dial, tlsConfig)
	if s.prober, err = rest.HTTPWrappersForConfig(c, s.probing); err != nil {
		return nil, fmt.Errorf("the identity for the API server %s: %w", u.Host, err)
	}
	return s, nil
}

func transport(c *rest.Config, dial func(context.Context, string, string) (net.Conn, error), tlsConfig *tls.Config) *http.Transport {
	proxy := http.ProxyFromEnvironment
	if c.Proxy != nil {
		proxy = c.Proxy
	}
	if tlsConfig != nil {
		tlsConfig = tlsConfig.Clone()
	}
	return &http.Transport{
		Proxy: proxy, DialContext: dial, TLSClientConfig: tlsConfig, TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: 25, IdleConnTimeout: 90 * time.Second, DisableCompression: c.DisableCompression,
	}
}

// roundTrip sends a request to this server. repeatable says that after an error it may be sent to another: it was not sent, or changes
// nothing, and its body can be had again.
func (s *server) roundTrip(request *http.Request) (response *http.Response, repeatable bool, err error) {
	var sent atomic.Bool
	ctx := httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	out := request.Clone(ctx)
	out.URL.Scheme, out.URL.Host, out.Host = s.url.Scheme, s.url.Host, ""
	repeatable = request.Body == nil || request.Body == http.NoBody
	if !repeatable && request.GetBody != nil {
		if out.Body, err = request.GetBody(); err != nil {
			return nil, false, fmt.Errorf("repeating the request's body: %w", err)
		}
		repeatable = true
	}
	response, err = s.transport.RoundTrip(out)
	if err != nil {
		reads := request.Method == http.MethodGet || request.Method == http.MethodHead
		return nil, repeatable && (!sent.Load() || reads), fmt.Errorf("API server %s: %w", s.url.Host, err)
	}
	return response, false, nil
}

// probe asks whether the server is ready.
func (s *server) probe(ctx context.Context) error {
	u := *s.url
	u.Path = "/readyz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("asking %s for /readyz: %w", s.url.Host, err)
	}
	response, err := s.prober.RoundTrip(request)
	if err != nil {
		s.probing.CloseIdleConnections()
		return fmt.Errorf("asking %s for /readyz: %w", s.url.Host, err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	err = errors.Join(err, response.Body.Close())
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz of %s says %s", s.url.Host, response.Status)
	}
	if err != nil {
		return fmt.Errorf("asking %s for /readyz: %w", s.url.Host, err)
	}
	return nil
}

// closeAll closes all connections, but for those of the probes.
func (s *server) closeAll() {
	s.dialer.CloseAll()
	s.transport.CloseIdleConnections()
}
