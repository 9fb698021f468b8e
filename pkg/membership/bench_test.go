package membership

import (
	"testing"
	"time"
)

// BenchmarkIdleSecond is what one member of an idle 64-node cluster does in a second, without codec and sockets: the budget is a
// part of 1% of a core for all of it (DESIGN section 8).
func BenchmarkIdleSecond(b *testing.B) {
	c := newCluster(b, 64).form()
	if !c.status(1).Acting || len(c.status(1).View.Members) != 64 {
		b.Fatal("the cluster has not formed")
	}
	m := c.machines[7]
	for b.Loop() {
		for range 4 {
			c.now += 250 * time.Millisecond
			b.StopTimer()
			var msgs []Message
			for _, id := range c.order {
				if id != 7 {
					c.machines[id].send(c.now)
					msgs = append(msgs, c.machines[id].Ready().Messages...)
				}
			}
			b.StartTimer()
			for i := range msgs {
				if err := m.Receive(c.now, &msgs[i]); err != nil {
					b.Fatal(err)
				}
			}
			m.Tick(c.now)
			rd := m.Ready()
			b.StopTimer()
			for i := range rd.Messages {
				for _, id := range c.order {
					if id != 7 {
						_ = c.machines[id].Receive(c.now, &rd.Messages[i])
					}
				}
			}
			b.StartTimer()
		}
	}
}
