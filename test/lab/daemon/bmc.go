package daemon

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// fenceDir is where hosts find the lab's fence agent: one of the directories in which agents look for drivers.
const fenceDir = "/opt/quorate/fence"

//go:embed fence_lab
var fenceAgent []byte

// powerRequest is what the fence agent asks. Action is on, off or status.
type powerRequest struct {
	Host   string `json:"host"`
	Action string `json:"action"`
}

// serveBMC puts the fence agent where hosts find it, with a socket beside it that can do nothing but switch hosts on and off.
func (d *Daemon) serveBMC() error {
	dir := d.layout.Fence()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("power switch: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fence_lab"), fenceAgent, 0o755); err != nil {
		return fmt.Errorf("power switch: %w", err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "bmc.sock"))
	if err != nil {
		return fmt.Errorf("power switch: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /power", func(w http.ResponseWriter, r *http.Request) {
		var request powerRequest
		if err := decodeJSON(r, &request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		state, err := d.power(context.WithoutCancel(r.Context()), request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		fmt.Fprint(w, state)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with the process
	return nil
}

// power does what a power switch does: switching off what is off, or on what is on, is no error.
func (d *Daemon) power(ctx context.Context, r powerRequest) (string, error) {
	h, err := d.nodeOnly(r.Host)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	on := func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.machine != nil
	}
	switch {
	case r.Action == "off" && on():
		_, err = d.kill(ctx, h)
	case r.Action == "on" && !on():
		err = d.start(ctx, h)
	case r.Action != "on" && r.Action != "off" && r.Action != "status":
		err = fmt.Errorf("action %q: use on, off or status", r.Action)
	}
	if on() {
		return "ON", err
	}
	return "OFF", err
}
