package systemd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"

	"github.com/quorate/quorate/pkg/bounded"
)

// Socket is where systemd listens for root. It is in a directory of the host that an agent in a container must be given.
const Socket = "/run/systemd/private"

const (
	// patience is how long systemd may take to take a connection, or to answer one question: it answers none while it reads its units again,
	// which takes seconds where there are many.
	patience = 15 * time.Second
	// reconnect is how soon a broken connection is seen, and made again while something waits for it.
	reconnect = 250 * time.Millisecond
)

// errLost says that the connection broke while systemd was doing what it was asked for.
var errLost = errors.New("the connection to systemd broke")

// Manager is this host's systemd. It connects when it is first asked.
type Manager struct {
	// turn is held by whoever makes or breaks the connection.
	turn    chan struct{}
	conn    *dbus.Conn
	changes changes
	reloads reloads
}

// New returns the host's systemd; nothing is asked of it yet.
func New() *Manager {
	return &Manager{turn: make(chan struct{}, 1), reloads: reloads{turn: make(chan struct{}, 1)}}
}

// connected returns a connection that stood a moment ago.
func (m *Manager) connected(ctx context.Context) (*dbus.Conn, error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m.conn != nil && m.conn.Connected() {
		return m.conn, nil
	}
	if m.conn != nil {
		m.conn.Close()
		m.conn = nil
	}
	// The library waits without end for a systemd that hangs. The connection outlives this call, and so does not get its context.
	conn, err := bounded.Do(ctx, Socket, patience, func() (*dbus.Conn, error) {
		conn, err := dbus.NewSystemdConnectionContext(context.Background())
		if err != nil {
			return nil, err
		}
		if err := conn.Subscribe(); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	})
	if err != nil {
		return nil, fmt.Errorf("asking systemd: %w", err)
	}
	m.follow(conn)
	m.conn = conn
	return conn, nil
}

// ask asks one question.
func ask[T any](ctx context.Context, m *Manager, about string, f func(context.Context, *dbus.Conn) (T, error)) (T, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := m.connected(ctx)
	if err != nil {
		return none, err
	}
	v, err := f(ctx, conn)
	if err != nil {
		return none, fmt.Errorf("asking systemd about %s: %w", about, err)
	}
	return v, nil
}

// Unit has systemd load a unit, unless it has, and describes it. One that is not there has Load not-found and is no error.
func (m *Manager) Unit(ctx context.Context, name string) (*Unit, error) {
	return ask(ctx, m, name, func(ctx context.Context, conn *dbus.Conn) (*Unit, error) {
		p, err := conn.GetAllPropertiesContext(ctx, name)
		if err != nil {
			return nil, err
		}
		return unitOf(p), nil
	})
}

// State is the part of Unit that changes as it runs, all of it at one moment, and cheaper.
func (m *Manager) State(ctx context.Context, name string) (State, error) {
	return ask(ctx, m, name, func(ctx context.Context, conn *dbus.Conn) (State, error) {
		all, err := conn.ListUnitsByNamesContext(ctx, []string{name})
		if err != nil {
			return State{}, err
		}
		if len(all) != 1 {
			return State{}, fmt.Errorf("systemd tells of %d units", len(all))
		}
		return State{Active: all[0].ActiveState, Sub: all[0].SubState, Job: all[0].JobId}, nil
	})
}

// Start has systemd start a unit and waits for the job's end, as long as ctx allows. The result is systemd's word for it: done, failed,
// timeout, dependency, canceled, skipped; empty when the connection broke meanwhile. How the unit fares now is for Unit to tell.
func (m *Manager) Start(ctx context.Context, name string) (result string, err error) {
	return m.job(ctx, name, (*dbus.Conn).StartUnitContext)
}

// Stop has systemd stop a unit, as Start starts one.
func (m *Manager) Stop(ctx context.Context, name string) (result string, err error) {
	return m.job(ctx, name, (*dbus.Conn).StopUnitContext)
}

// begin is a method of a connection that makes a job and returns before it is done.
type begin func(conn *dbus.Conn, ctx context.Context, name, mode string, ch chan<- string) (int, error)

func (m *Manager) job(ctx context.Context, name string, begin begin) (string, error) {
	type under struct {
		conn *dbus.Conn
		done chan string
	}
	// "replace": what is asked for last counts, as with systemctl.
	j, err := ask(ctx, m, name, func(ctx context.Context, conn *dbus.Conn) (under, error) {
		j := under{conn, make(chan string, 1)}
		_, err := begin(conn, ctx, name, "replace", j.done)
		return j, err
	})
	if err != nil {
		return "", err
	}
	look := time.NewTicker(reconnect)
	defer look.Stop()
	for {
		select {
		case result := <-j.done:
			return result, nil
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for systemd to be done with %s: %w", name, ctx.Err())
		case <-look.C:
			if !j.conn.Connected() {
				return "", m.settled(ctx, name)
			}
		}
	}
}

// settled waits over a new connection until nothing is asked of the unit any more.
func (m *Manager) settled(ctx context.Context, name string) error {
	for {
		s, err := m.State(ctx, name)
		if err == nil && s.Job == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%w; waiting for %s: %w", errLost, name, ctx.Err()), err)
		case <-time.After(reconnect):
		}
	}
}

// Cancel has systemd drop what is asked of a unit, and stop it; it does not wait.
func (m *Manager) Cancel(ctx context.Context, name string) error {
	_, err := ask(ctx, m, name, func(ctx context.Context, conn *dbus.Conn) (int, error) {
		return conn.StopUnitContext(ctx, name, "replace", nil)
	})
	return err
}

// Kill sends a signal to all processes of a unit.
func (m *Manager) Kill(ctx context.Context, name string, signal int32) error {
	_, err := ask(ctx, m, name, func(ctx context.Context, conn *dbus.Conn) (any, error) {
		return nil, conn.KillUnitWithTarget(ctx, name, dbus.All, signal)
	})
	return err
}

// ResetFailed makes a failed unit inactive, and forgets how often it was started. A unit that is not loaded needs none.
func (m *Manager) ResetFailed(ctx context.Context, name string) error {
	_, err := ask(ctx, m, name, func(ctx context.Context, conn *dbus.Conn) (any, error) {
		return nil, conn.ResetFailedUnitContext(ctx, name)
	})
	return err
}
