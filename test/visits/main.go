// Command quorate-visits is the demo's web application: it counts its visits in a file and answers with the count. A visit is on the
// disk before it is answered, so a count that a client has seen is never lost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", ":8080", "`address:port` to answer on")
	file := flag.String("file", "visits", "`path` of the file that holds the count")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *file); err != nil {
		fmt.Fprintln(os.Stderr, "quorate-visits:", err)
		os.Exit(1) //nolint:gocritic // the process ends here, with or without stop
	}
}

// counter is a count in a file.
type counter struct {
	path    string
	host    string
	started time.Time
	mu      sync.Mutex
	// count is what is on the disk.
	count int64
	// write puts a count on the disk.
	write func(path string, count int64) error
	// arrived are the visits that the next write is to hold.
	arrivedMu sync.Mutex
	arrived   []chan answer
}

// answer is a visitor's count, or why it could not be kept.
type answer struct {
	count int64
	err   error
}

// visit is the answer to a visitor.
type visit struct {
	Count   int64     `json:"count"`
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
}

func run(ctx context.Context, listen, path string) error {
	c, err := open(path)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.serve)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	server := &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		// Requests that are being answered are answered to the end; new ones go to the next owner.
		ending, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(ending)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	c.mu.Lock() // until the last visit is written
	return nil
}

// open reads the count of earlier visits; a file that does not exist means none.
func open(path string) (*counter, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	c := &counter{path: path, host: host, started: time.Now(), write: write}
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	if c.count, err = strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64); err != nil {
		return nil, fmt.Errorf("count in %s: %w", path, err)
	}
	return c, nil
}

func (c *counter) serve(w http.ResponseWriter, _ *http.Request) {
	count, err := c.next()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(visit{Count: count, Host: c.host, PID: os.Getpid(), Started: c.started}) // the visitor has gone
}

// next counts a visit and returns when it is on the disk. One write is for all who have come while the one before it was made: on a busy
// host a queue of visitors, one write each, would never get shorter again, and nobody be answered in time.
func (c *counter) next() (int64, error) {
	mine := make(chan answer, 1)
	c.arrivedMu.Lock()
	c.arrived = append(c.arrived, mine)
	c.arrivedMu.Unlock()
	c.writeArrived()
	got := <-mine
	return got.count, got.err
}

// writeArrived answers all who have come until now, unless somebody else has while it waited.
func (c *counter) writeArrived() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrivedMu.Lock()
	arrived := c.arrived
	c.arrived = nil
	c.arrivedMu.Unlock()
	if len(arrived) == 0 {
		return
	}
	before := c.count
	err := c.write(c.path, before+int64(len(arrived)))
	if err == nil {
		c.count += int64(len(arrived))
	}
	for i, visitor := range arrived {
		visitor <- answer{count: before + int64(i) + 1, err: err}
	}
}

// write replaces the file's content so that it is the old or the new count after a power cut, never half of one.
func write(path string, count int64) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, count)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
