package collect

import (
	"context"
	"sync"
	"time"

	"github.com/quorate/quorate/pkg/audit"
	"github.com/quorate/quorate/pkg/snapshot"
)

// apiPatience is how long the API may take to answer a look.
const apiPatience = 5 * time.Second

// Collectors are what looks at a cluster; all are optional.
type Collectors struct {
	// API reads the objects; without it only what hosts show by themselves is judged.
	API *API
	// Hosts looks at what is really on hosts.
	Hosts func(context.Context) ([]audit.Host, []audit.Unseen)
	// Disks reads the reservations of the cluster's disks, Addresses asks who answers for its addresses.
	Disks     func(context.Context, *snapshot.Objects) ([]audit.Disk, []audit.Unseen)
	Addresses func(context.Context, *snapshot.Objects) ([]audit.Answer, []audit.Unseen)

	last *snapshot.Objects // what the API said last: which disks and addresses there are
}

// Take takes one look with all collectors, the API first, then the others side by side.
func (c *Collectors) Take(ctx context.Context) *audit.Look {
	l := &audit.Look{Began: time.Now()}
	if c.API != nil {
		c.askAPI(ctx, l)
	}
	var side sync.WaitGroup
	var hosts, disks, addresses []audit.Unseen
	if c.Hosts != nil {
		side.Go(func() { l.Hosts, hosts = c.Hosts(ctx) })
	}
	if c.Disks != nil && c.last != nil {
		side.Go(func() { l.Disks, disks = c.Disks(ctx, c.last) })
	}
	if c.Addresses != nil && c.last != nil {
		side.Go(func() { l.Answers, addresses = c.Addresses(ctx, c.last) })
	}
	side.Wait()
	for _, more := range [][]audit.Unseen{hosts, disks, addresses} {
		l.Unseen = append(l.Unseen, more...)
	}
	l.Ended = time.Now()
	return l
}

func (c *Collectors) askAPI(ctx context.Context, l *audit.Look) {
	ctx, cancel := context.WithTimeout(ctx, apiPatience)
	defer cancel()
	objects, unseen, err := c.API.Objects(ctx)
	l.Unseen = append(l.Unseen, unseen...)
	if err != nil {
		l.Unseen = append(l.Unseen, audit.Unseen{Source: audit.SourceAPI, Message: err.Error()})
		return
	}
	l.Objects, c.last = objects, objects
}

// Run takes a look each interval until ctx ends, and tells each look with what has become certain with it. A look under way at the
// end does not count: it was cut short.
func Run(ctx context.Context, c *Collectors, a *audit.Auditor, interval time.Duration, tell func(*audit.Look, []audit.Finding)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		l := c.Take(ctx)
		if ctx.Err() != nil {
			return
		}
		tell(l, a.Look(l))
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
