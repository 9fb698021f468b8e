package localapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"

	"golang.org/x/sys/unix"
)

// ErrNoAgent says that no agent answers on this host.
var ErrNoAgent = errors.New("no agent answers on this host")

// Client speaks to the agent of a run directory.
type Client struct {
	RunDir string
}

// Call carries out an operation. An *Error is the agent's answer; ErrNoAgent says that there is no agent, and any other error that
// the answer was lost: then the operation may have been carried out.
func (c *Client) Call(ctx context.Context, name string, request, reply any) error {
	raw, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dial(ctx, c.RunDir)
	}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://agent"+prefix+name, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("asking the agent: %w", err)
	}
	response, err := (&http.Client{Transport: transport}).Do(post)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%w (run directory %s): %w", ErrNoAgent, c.RunDir, err)
	case err != nil:
		return fmt.Errorf("asking the agent: %w", err)
	}
	defer response.Body.Close()
	return read(response, reply)
}

func read(response *http.Response, reply any) error {
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxReply+1))
	switch {
	case err != nil:
		return fmt.Errorf("reading the agent's answer: %w", err)
	case len(raw) > maxReply:
		return fmt.Errorf("reading the agent's answer: it is larger than %d bytes", maxReply)
	}
	if response.StatusCode != http.StatusOK {
		refused := &Error{}
		if err := json.Unmarshal(raw, refused); err != nil || refused.Message == "" {
			return fmt.Errorf("the agent answers %s", response.Status)
		}
		return refused
	}
	if err := json.Unmarshal(raw, reply); err != nil {
		return fmt.Errorf("reading the agent's answer: %w", err)
	}
	return nil
}
