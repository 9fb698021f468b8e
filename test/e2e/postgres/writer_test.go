package postgres

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// workers write at once, each over a connection of its own.
	workers = 4
	// patience is how long a worker waits for an answer before it makes a new connection.
	patience = time.Second
	// pause between attempts to connect.
	pause = 20 * time.Millisecond
)

// dialer connects from where the clients are.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// writer inserts numbered rows without end, and remembers which of them the server has acknowledged. A row whose fate it does not know is
// never sent again: so none can be there twice but by the server's fault.
type writer struct {
	config *pgx.ConnConfig
	last   atomic.Int64 // the highest number that was sent
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	acked  []int64
	unsure int
	// lives are the starts of the server, in the order in which rows were acknowledged by them first.
	lives  []life
	errors map[string]int
}

// life is the time between two starts of the server.
type life struct {
	started time.Time // by the server's own clock
	first   time.Time // when the first row was acknowledged
}

// connection makes the configuration of a client in the lab.
func connection(dial dialer, url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the client's configuration: %w", err)
	}
	config.DialFunc, config.ConnectTimeout = dial, patience
	return config, nil
}

// write begins to write. Stop it at the end.
func write(config *pgx.ConnConfig) *writer {
	ctx, stop := context.WithCancel(context.Background())
	w := &writer{config: config, stop: stop, errors: map[string]int{}}
	for range workers {
		w.done.Go(func() {
			for ctx.Err() == nil {
				w.failed(w.session(ctx))
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	return w
}

// end stops the writer and waits for its workers.
func (w *writer) end() {
	w.stop()
	w.done.Wait()
}

// session writes over one connection until something goes wrong.
func (w *writer) session(ctx context.Context) error {
	opening, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.ConnectConfig(opening, w.config)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		_ = conn.Close(closing)
	}()
	var started time.Time
	if err := conn.QueryRow(opening, "SELECT pg_postmaster_start_time()").Scan(&started); err != nil {
		return fmt.Errorf("asking since when the server runs: %w", err)
	}
	for ctx.Err() == nil {
		if err := w.insert(ctx, conn, started); err != nil {
			return fmt.Errorf("inserting: %w", err)
		}
	}
	return nil
}

// insert writes one row in a transaction of its own.
func (w *writer) insert(ctx context.Context, conn *pgx.Conn, started time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n := w.last.Add(1)
	_, err := conn.Exec(ctx, "INSERT INTO entries (n) VALUES ($1)", n)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.unsure++
		return err
	}
	w.acked = append(w.acked, n)
	if !slices.ContainsFunc(w.lives, func(l life) bool { return l.started.Equal(started) }) {
		w.lives = append(w.lives, life{started: started, first: time.Now()})
	}
	return nil
}

func (w *writer) failed(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors[err.Error()]++
}

// progress is how far the writer has come.
type progress struct {
	acked, unsure int
	lives         []life
	// errors are what went wrong, with how often.
	errors []string
}

func (w *writer) progress() progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := progress{acked: len(w.acked), unsure: w.unsure, lives: slices.Clone(w.lives)}
	for _, text := range slices.Sorted(maps.Keys(w.errors)) {
		p.errors = append(p.errors, fmt.Sprintf("%d x %s", w.errors[text], text))
	}
	return p
}

// look reads what is in the table, while the writer goes on, and compares.
func (w *writer) look(ctx context.Context) (verdict, error) {
	w.mu.Lock()
	acked := slices.Clone(w.acked)
	w.mu.Unlock()
	conn, err := pgx.ConnectConfig(ctx, w.config)
	if err != nil {
		return verdict{}, fmt.Errorf("connecting to read: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT n FROM entries")
	if err != nil {
		return verdict{}, fmt.Errorf("reading: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return verdict{}, fmt.Errorf("reading: %w", err)
	}
	return judge(acked, found, w.last.Load()), nil
}
