package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/quorate/quorate/test/lab/array"
	"github.com/quorate/quorate/test/lab/protocol"
)

// serve answers requests on the control socket.
func (d *Daemon) serve(listener net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /progress", d.progress)
	mux.HandleFunc("POST /status", handle(func(context.Context, struct{}) (protocol.Status, error) { return d.status(), nil }))
	mux.HandleFunc("POST /down", handle(func(context.Context, struct{}) (struct{}, error) {
		// The answer first, then the end.
		time.AfterFunc(10*time.Millisecond, d.shutDown)
		return struct{}{}, nil
	}))
	mux.HandleFunc("POST /host/kill", handle(d.serveKill))
	mux.HandleFunc("POST /host/start", handle(d.serveStart))
	mux.HandleFunc("POST /host/freeze", handle(d.serveFreeze(true)))
	mux.HandleFunc("POST /host/thaw", handle(d.serveFreeze(false)))
	mux.HandleFunc("POST /process/start", handle(d.serveProcess("start")))
	mux.HandleFunc("POST /process/stop", handle(d.serveProcess("stop")))
	mux.HandleFunc("POST /process/kill", handle(d.serveProcess("kill")))
	mux.HandleFunc("POST /net", handle(d.serveNet))
	mux.HandleFunc("POST /cable", handle(d.serveCable))
	mux.HandleFunc("POST /disk", handle(d.serveDisk))
	mux.HandleFunc("POST /api", handle(func(ctx context.Context, r protocol.APIRequest) (struct{}, error) {
		return struct{}{}, d.apiOperation(ctx, r.Op)
	}))
	mux.HandleFunc("POST /api/servers", handle(d.serveServers))
	mux.HandleFunc("POST /api/lead", handle(d.serveLead))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	_ = server.Serve(listener) // ends with the process
}

// handle turns a function into a handler that speaks JSON.
func handle[In, Out any](do func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := decodeJSON(r, &in); err != nil {
			writeJSON(w, http.StatusBadRequest, protocol.Failure{Error: err.Error()})
			return
		}
		// What was begun is finished even if the asking command is interrupted: half a power cut is none.
		out, err := do(context.WithoutCancel(r.Context()), in)
		if err != nil {
			writeJSON(w, http.StatusConflict, protocol.Failure{Error: err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, out)
	}
}

func decodeJSON(r *http.Request, into any) error { return json.NewDecoder(r.Body).Decode(into) }

func writeJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // the asker has gone
}

// progress tells the story of up, one JSON line after another, until it ends. If the asker owns the lab and goes away before the end,
// the lab ends too: nobody would.
func (d *Daemon) progress(w http.ResponseWriter, r *http.Request) {
	flusher, _ := w.(http.Flusher)
	encoder := json.NewEncoder(w)
	for told := 0; ; {
		lines, more := d.story.since(told)
		for _, line := range lines {
			told++
			if encoder.Encode(line) != nil || line.Done {
				return
			}
		}
		if flusher != nil {
			flusher.Flush()
		}
		select {
		case <-more:
		case <-r.Context().Done():
			if r.URL.Query().Has("owner") {
				d.shutDown()
			}
			return
		}
	}
}

func (d *Daemon) serveKill(ctx context.Context, r protocol.HostRequest) (*protocol.KillReport, error) {
	h, err := d.nodeOnly(r.Host)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return d.kill(ctx, h)
}

func (d *Daemon) serveStart(ctx context.Context, r protocol.HostRequest) (struct{}, error) {
	h, err := d.nodeOnly(r.Host)
	if err != nil {
		return struct{}{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return struct{}{}, d.start(ctx, h)
}

func (d *Daemon) serveFreeze(frozen bool) func(context.Context, protocol.HostRequest) (struct{}, error) {
	return func(_ context.Context, r protocol.HostRequest) (struct{}, error) {
		h, err := d.nodeOnly(r.Host)
		if err != nil {
			return struct{}{}, err
		}
		h.op.Lock()
		defer h.op.Unlock()
		machine, err := d.running(r.Host)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, machine.Freeze(frozen)
	}
}

// nodeOnly finds a host that may be killed, started and frozen. The client is everyone's measure, and the API server has its own
// commands.
func (d *Daemon) nodeOnly(name string) (*hostState, error) {
	if !d.story.done() {
		return nil, errors.New("the lab is not up yet")
	}
	h, err := d.host(name)
	if err == nil && !h.node {
		err = fmt.Errorf("host %s cannot be killed, started, frozen or thawed: only node-a to node-%c can", name, 'a'+d.options.Hosts-1)
	}
	return h, err
}

func (d *Daemon) serveProcess(op string) func(context.Context, protocol.HostRequest) (struct{}, error) {
	return func(ctx context.Context, r protocol.HostRequest) (struct{}, error) {
		machine, err := d.running(r.Host)
		if err != nil {
			return struct{}{}, err
		}
		switch op {
		case "start":
			return struct{}{}, machine.StartProcess(r.Process)
		case "kill":
			return struct{}{}, machine.SignalProcess(r.Process, killSignal)
		default:
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return struct{}{}, machine.StopProcess(ctx, r.Process)
		}
	}
}

func (d *Daemon) serveDisk(_ context.Context, r protocol.DiskRequest) (struct{}, error) {
	h, err := d.host(r.Host)
	switch {
	case err != nil:
		return struct{}{}, err
	case !h.node:
		return struct{}{}, fmt.Errorf("host %s has no shared disks", r.Host)
	case r.State != array.PathOK && r.State != array.PathFailed && r.State != array.PathHung:
		return struct{}{}, fmt.Errorf("path state %q: use ok, failed or hung", r.State)
	}
	return struct{}{}, d.disks.Port(r.Host).SetPath(r.Disk, r.State)
}
