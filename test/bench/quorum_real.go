package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/pkg/heartbeat"
	"github.com/quorate/quorate/pkg/membership"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/quorum"
	"github.com/quorate/quorate/pkg/runstate"
)

const (
	benchPort      = 33431
	benchInterval  = 250 * time.Millisecond
	benchThreshold = 4
	// detection is how long after its last datagram a member is taken out of the view at the earliest (R1, R4).
	detection = benchThreshold * benchInterval * 103 / 100
	// idleFor is how long an idle cluster is watched.
	idleFor = 8 * time.Second
)

// member is the real membership machine on real sockets, as an agent runs them, with its volatile file and without the rest.
type member struct {
	id        model.NodeID
	machine   *membership.Machine
	transport *heartbeat.Transport
	path      string
	view      atomic.Pointer[membership.View]
	// took is how long after the end of its promise to the dead this member had its present view, by its own clock.
	took    atomic.Int64
	written atomic.Int64
	err     error
}

// realHeartbeats runs clusters of members in this process, each on a loopback address of its own and one network, and tells what one
// of them costs: CPU time of the process, by nodes, so that the load of the machine does not matter.
func realHeartbeats(ctx context.Context, progress io.Writer) ([]quorumRow, error) {
	dir, err := os.MkdirTemp("/dev/shm", "quorate-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var rows []quorumRow
	for _, nodes := range []int{3, 16, 64} {
		fmt.Fprintf(progress, "%d members on loopback addresses\n", nodes)
		more, err := measureCluster(ctx, nodes, dir)
		if err != nil {
			return nil, fmt.Errorf("%d members: %w", nodes, err)
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

func measureCluster(ctx context.Context, nodes int, dir string) ([]quorumRow, error) {
	ctx, cancel := context.WithCancel(ctx)
	began := time.Now()
	members, stops, wait, err := startCluster(ctx, nodes, dir)
	defer func() { cancel(); wait() }()
	if err != nil {
		return nil, err
	}
	if err := agree(ctx, members, nodes); err != nil {
		return nil, err
	}
	formed := time.Since(began)
	time.Sleep(2 * time.Second) // the records follow
	cpu, sent, written := cpuTime(), sentBytes(members), writtenBytes(members)
	began = time.Now()
	time.Sleep(idleFor)
	passed := time.Since(began)
	perNode := func(total float64) float64 { return total / passed.Seconds() / float64(nodes) }
	used := perNode((cpuTime() - cpu).Seconds()) * 100
	bandwidth := perNode(float64(sentBytes(members) - sent))
	state := perNode(float64(writtenBytes(members) - written))
	stops[nodes-1]()
	if err := agree(ctx, members[:nodes-1], nodes-1); err != nil {
		return nil, err
	}
	var took []time.Duration
	for _, m := range members[:nodes-1] {
		took = append(took, time.Duration(m.took.Load()))
	}
	cpuBudget, agreement := "", ""
	switch nodes {
	case 3:
		agreement = "20 ms"
	case 64:
		cpuBudget, agreement = "1% (idle agent)", "50 ms, on 64 machines"
	}
	return []quorumRow{
		{fmt.Sprintf("heartbeats of one of %d nodes, CPU of a core", nodes), fmt.Sprintf("%.2f%%", used), cpuBudget},
		{"  sent, one network, without headers", fmt.Sprintf("%.1f kB/s", bandwidth/1000), ""},
		{"  written to the run directory (memory)", fmt.Sprintf("%.1f kB/s", state/1000), ""},
		{"  from the start of all to a view of all (1030 ms of it is rule R2)", fmt.Sprintf("%d ms", formed.Milliseconds()), ""},
		{"  view agreement after detection, all on this machine (median, last)", spread(took), agreement},
	}, nil
}

// startCluster starts the members, each with a stop of its own. wait returns when all have ended.
func startCluster(ctx context.Context, nodes int, dir string) (members []*member, stops []func(), wait func(), err error) {
	address := func(id model.NodeID) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 10, byte(id)}) }
	cfg := membership.Config{Interval: benchInterval, Threshold: benchThreshold, DynamicVotes: true}
	var voters []model.NodeID
	for id := model.NodeID(1); int(id) <= nodes; id++ {
		cfg.Nodes = append(cfg.Nodes, membership.NodeConfig{ID: id, Votes: 1})
		voters = append(voters, id)
	}
	var loops sync.WaitGroup
	for _, id := range voters {
		m := &member{id: id, path: filepath.Join(dir, fmt.Sprintf("%d-%d", nodes, id))}
		cfg.Self = id
		if m.machine, err = membership.New(cfg, nil, nil, runstate.BootTime()); err != nil {
			return members, stops, loops.Wait, err
		}
		network := heartbeat.Network{Name: "lo", Local: address(id), Peers: map[model.NodeID]netip.Addr{}}
		for _, other := range voters {
			if other != id {
				network.Peers[other] = address(other)
			}
		}
		m.transport = heartbeat.NewTransport(runstate.BootTime, logr.Discard())
		if err = m.transport.Configure(heartbeat.Config{
			ClusterID: 1, Self: id, Port: benchPort, Keys: [][]byte{[]byte("a key for the benchmark only")}, Silence: time.Second,
			Networks: []heartbeat.Network{network},
		}); err != nil {
			return members, stops, loops.Wait, err
		}
		if err = m.machine.Form(*quorum.NewRecord(1, 0, voters), runstate.BootTime()); err != nil {
			return members, stops, loops.Wait, err
		}
		m.machine.SetReady(true, runstate.BootTime())
		own, stop := context.WithCancel(ctx)
		loops.Go(func() { m.run(own) })
		members, stops = append(members, m), append(stops, stop)
	}
	return members, stops, loops.Wait, nil
}

func (m *member) run(ctx context.Context) {
	defer m.transport.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	hear := func(now time.Duration, msg *membership.Message) { _ = m.machine.Hear(now, msg) } // a repeated one is ordinary
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.transport.Readable():
		case <-timer.C:
		}
		m.transport.Drain(hear)
		m.machine.Tick(runstate.BootTime())
		if m.err = m.flush(); m.err != nil {
			return
		}
		now := runstate.BootTime()
		timer.Reset(max(0, m.machine.NextDeadline(now)-now))
	}
}

// flush does what an agent does, with its numbers in memory instead of on disk.
func (m *member) flush() error {
	ready := m.machine.Ready()
	if ready.Volatile != nil {
		raw, err := json.Marshal(ready.Volatile)
		if err != nil {
			return err
		}
		m.written.Add(int64(len(raw)))
		if err := os.WriteFile(m.path+".new", raw, 0o600); err != nil {
			return err
		}
		if err := os.Rename(m.path+".new", m.path); err != nil {
			return err
		}
	}
	for i := range ready.Messages {
		if err := m.transport.Send(&ready.Messages[i]); err != nil {
			return err
		}
	}
	for _, event := range ready.Events {
		switch e := event.(type) {
		case membership.ViewInstalled:
			view := e.View
			for _, lost := range e.Lost {
				m.took.Store(int64(lost.Silent - detection))
			}
			m.view.Store(&view)
		case membership.QuorumLost: // on a machine that is too busy; nothing runs here, so it is clean at once
			m.machine.SetReady(true, runstate.BootTime())
		}
	}
	return nil
}

// agree waits until all have a view of this many members.
func agree(ctx context.Context, members []*member, size int) error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		if !slices.ContainsFunc(members, func(m *member) bool { v := m.view.Load(); return v == nil || len(v.Members) != size }) {
			return nil
		}
	}
	return fmt.Errorf("no view of %d members within a minute", size)
}

func sentBytes(members []*member) (n uint64) {
	for _, m := range members {
		n += m.transport.Stats().SentBytes
	}
	return n
}

func writtenBytes(members []*member) (n int64) {
	for _, m := range members {
		n += m.written.Load()
	}
	return n
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// spread is the median and the worst.
func spread(list []time.Duration) string {
	slices.Sort(list)
	return fmt.Sprintf("%.1f ms, %.1f ms", list[len(list)/2].Seconds()*1000, list[len(list)-1].Seconds()*1000)
}
