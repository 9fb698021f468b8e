package apiservers

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// body is that of a response. When it breaks off, its server is given up: whoever watched would else begin again with the same one, and
// wait for it once more.
type body struct {
	io.ReadCloser
	servers *Servers
	from    *server
	request *http.Request
	// closed says that the reader itself has ended it.
	closed atomic.Bool
}

// watchBody looks at how a response ends. One that changes the protocol has no body to read.
func (s *Servers) watchBody(response *http.Response, from *server) {
	if response.StatusCode != http.StatusSwitchingProtocols {
		response.Body = &body{ReadCloser: response.Body, servers: s, from: from, request: response.Request}
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || errors.Is(err, io.EOF) || b.closed.Load() || b.request.Context().Err() != nil {
		return n, err
	}
	if others := b.servers.after(b.from); len(others) > 0 {
		b.servers.abandon(b.from, others[0], err)
	}
	return n, err
}

// Close implements io.Closer. A read that it ends says nothing of the server: whoever watches closes what it reads when it has had enough.
func (b *body) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}
