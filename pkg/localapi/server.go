package localapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-logr/logr"
)

const (
	// maxRequest and maxReply bound what each end reads.
	maxRequest = 64 << 10
	maxReply   = 4 << 20
	// callTimeout bounds one call.
	callTimeout = time.Minute
	prefix      = "/v1/"
)

// Server answers on the socket. Operations are added with Act and Query before Serve.
type Server struct {
	log logr.Logger
	mux *http.ServeMux
}

// NewServer makes a server without operations.
func NewServer(log logr.Logger) *Server {
	s := &Server{log: log, mux: http.NewServeMux()}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.reply(w, nil, &Error{Code: CodeUnknown, Message: fmt.Sprintf("this agent knows no %s %q", r.Method, r.URL.Path)})
	})
	return s
}

// Act adds an operation that changes something. Every call is logged with its request, so a request never carries a secret.
func Act[Request, Reply any](s *Server, name string, do func(context.Context, Caller, *Request) (Reply, error)) {
	handle(s, name, func(ctx context.Context, caller Caller, request *Request) (Reply, error) {
		log := s.log.WithValues("act", name, "user", caller.User, "uid", caller.UID, "pid", caller.PID, "command", caller.Command,
			"request", request)
		log.Info("An act was asked for on this host")
		reply, err := do(ctx, caller, request)
		if err != nil {
			log.Info("The act was not carried out", "reason", err.Error())
		} else {
			log.Info("The act was carried out")
		}
		return reply, err
	})
}

// Query adds an operation that only looks.
func Query[Request, Reply any](s *Server, name string, do func(context.Context, *Request) (Reply, error)) {
	handle(s, name, func(ctx context.Context, _ Caller, request *Request) (Reply, error) { return do(ctx, request) })
}

func handle[Request, Reply any](s *Server, name string, do func(context.Context, Caller, *Request) (Reply, error)) {
	s.mux.HandleFunc("POST "+prefix+name, func(w http.ResponseWriter, r *http.Request) {
		caller, err := authorize(r.Context())
		if err != nil {
			s.log.Info("A caller was turned away", "operation", name, "uid", caller.UID, "pid", caller.PID, "reason", err.Error())
			s.reply(w, nil, err)
			return
		}
		request := new(Request)
		if err := decode(http.MaxBytesReader(w, r.Body, maxRequest), request); err != nil {
			s.reply(w, nil, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		reply, err := do(ctx, caller, request)
		s.reply(w, reply, err)
	})
}

// decode reads one JSON value and nothing beside it. A field that is not known is refused: a newer command would think that it
// was heeded.
func decode(from io.Reader, into any) error {
	raw, err := io.ReadAll(from)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return Invalid("the request is larger than %d bytes", tooLarge.Limit)
	case err != nil:
		return Invalid("the request was cut off: %v", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return Invalid("the request is not what this agent expects (is quorate-agent of another version?): %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Invalid("the request holds more than one JSON value")
	}
	return nil
}

func (s *Server) reply(w http.ResponseWriter, reply any, err error) {
	code := http.StatusOK
	if err != nil {
		coded := asError(err)
		reply, code = coded, statusOf[coded.Code]
	}
	raw, err := json.Marshal(reply)
	if err != nil {
		raw, code = []byte(`{"code":"Internal","message":"the reply cannot be encoded"}`), http.StatusInternalServerError
		s.log.Error(err, "A reply cannot be encoded")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if _, err := w.Write(raw); err != nil {
		s.log.V(1).Info("The caller has gone", "reason", err.Error())
	}
}

// Serve answers on the socket of the run directory until ctx ends. An older socket file is replaced: the caller holds the lock of
// the host's one agent, so nobody answers on it any more.
func (s *Server) Serve(ctx context.Context, runDir string) error {
	listener, err := listen(runDir)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: s.mux, ConnContext: withCaller, MaxHeaderBytes: 8 << 10, ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout: 10 * time.Second, WriteTimeout: callTimeout + 10*time.Second, IdleTimeout: 10 * time.Second,
	}
	// Calls that are under way see their context end; none may keep the next agent from starting.
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the agent's socket: %w", err)
	}
	return nil
}
