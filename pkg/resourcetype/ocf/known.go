package ocf

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/quorate/quorate/pkg/ocf"
)

const (
	// patience is how long an agent may take to tell its meta-data before a start, and while the host is looked over.
	patience = 3 * time.Second
	// retry is how long an agent that told nothing is left alone.
	retry = 30 * time.Second
)

// known keeps the meta-data of agents: each is a shell's start, and the host is looked over every few seconds.
type known struct {
	mu     sync.Mutex
	agents map[string]entry
}

// entry is what an agent's program of this time and size has told.
type entry struct {
	changed time.Time
	size    int64
	meta    *ocf.Metadata
	err     error
	asked   time.Time
}

// of returns an agent's meta-data, which nobody may change.
func (k *known) of(ctx context.Context, a ocf.Agent) (*ocf.Metadata, error) {
	info, err := os.Stat(a.Path())
	if err != nil {
		return nil, fmt.Errorf("looking at the agent %s: %w", a, err)
	}
	k.mu.Lock()
	e, found := k.agents[a.Path()]
	k.mu.Unlock()
	if found && e.changed.Equal(info.ModTime()) && e.size == info.Size() && (e.err == nil || time.Since(e.asked) < retry) {
		return e.meta, e.err
	}
	e = entry{changed: info.ModTime(), size: info.Size(), asked: time.Now()}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e.meta, e.err = a.Metadata(limited)
	if ctx.Err() != nil {
		return nil, ctx.Err() // who asked had no time: that says nothing of the agent
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.agents == nil {
		k.agents = map[string]entry{}
	}
	k.agents[a.Path()] = e
	return e.meta, e.err
}
