package systemd

import (
	"context"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
)

// changes tells those who watch a unit that it may have changed.
type changes struct {
	mu       sync.Mutex
	watchers map[chan struct{}]string
}

// Changes tells of each change of a unit at once, and after a connection that broke; what has changed is for State to tell. Changes that
// come before the last one was taken are told as one. The channel is not closed: ctx ends it.
func (m *Manager) Changes(ctx context.Context, name string) (<-chan struct{}, error) {
	told := make(chan struct{}, 1)
	m.changes.add(told, name)
	if _, err := m.connected(ctx); err != nil {
		m.changes.remove(told)
		return nil, err
	}
	context.AfterFunc(ctx, func() { m.changes.remove(told) })
	return told, nil
}

func (c *changes) add(told chan struct{}, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watchers == nil {
		c.watchers = map[chan struct{}]string{}
	}
	c.watchers[told] = name
}

func (c *changes) remove(told chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watchers, told)
}

// tell tells those who watch the unit, or all when it is not known which one has changed.
func (c *changes) tell(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for told, of := range c.watchers {
		if name != "" && name != of {
			continue
		}
		select {
		case told <- struct{}{}:
		default: // it has been told, and has not looked since
		}
	}
}

// nobody reports that no unit is watched.
func (c *changes) nobody() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.watchers) == 0
}

// signals is how many of systemd's messages may wait; more of them are told as "something has changed". When it reads its units again, it
// sends several for each unit in one burst.
const signals = 4096

// follow passes on what a connection tells of changed units. When it has broken, it sees to a new one for those who watch, and ends.
func (m *Manager) follow(conn *dbus.Conn) {
	updates, lost := make(chan *dbus.PropertiesUpdate, signals), make(chan error, signals)
	conn.SetPropertiesSubscriber(updates, lost)
	go func() {
		tick := time.NewTicker(reconnect)
		defer tick.Stop()
		for conn.Connected() {
			select {
			case u := <-updates:
				m.changes.tell(u.UnitName)
			case err := <-lost:
				if err != nil {
					m.changes.tell("")
				}
			case <-tick.C:
			}
		}
		for !m.changes.nobody() {
			if _, err := m.connected(context.Background()); err == nil {
				m.changes.tell("")
				return
			}
			<-tick.C
		}
	}()
}
