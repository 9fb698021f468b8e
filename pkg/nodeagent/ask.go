package nodeagent

import (
	"context"
	"sync"
	"time"

	"github.com/quorate/quorate/pkg/autonomy"
)

// holdPatience is how long what keeps the view from deciding may last before who asks is told: a view that has just lost a host is not
// quorate for a moment.
const holdPatience = 2 * time.Second

// desk is where the commands of this host's operator wait until the coordinator has answered.
type desk struct {
	mu sync.Mutex
	// asked and gone are new since the last turn.
	asked   []autonomy.Ask
	gone    []string
	waiting map[string]*waiter
	// held is what keeps the view from deciding, in words, and since when; the loop's alone are hold and since.
	held  string
	hold  autonomy.Hold
	since time.Duration
	// due are the answers that are told when all that the machine has to save is on disk.
	due []autonomy.Reply
}

// waiter is a command that waits. Its channel takes one answer.
type waiter struct {
	reply chan autonomy.Reply
	hold  chan autonomy.Hold
}

// answer is what a command gets: the coordinator's reply, or why there is none.
type answer struct {
	autonomy.Reply
	// Hold and Held say why nothing is decided; both are empty with a reply.
	Hold autonomy.Hold
	Held string
}

// ask has the coordinator asked, and waits for the answer until ctx ends.
func (j *journal) ask(ctx context.Context, a autonomy.Ask) answer {
	w := &waiter{reply: make(chan autonomy.Reply, 1), hold: make(chan autonomy.Hold, 1)}
	d := &j.desk
	d.mu.Lock()
	if d.waiting == nil {
		d.waiting = map[string]*waiter{}
	}
	d.asked, d.waiting[a.ID] = append(d.asked, a), w
	d.mu.Unlock()
	j.wakeUp()
	out := answer{Hold: autonomy.HoldSession}
	select {
	case out.Reply = <-w.reply:
		out.Hold = ""
	case out.Hold = <-w.hold:
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if out.Hold != "" {
		out.Held = d.held
		d.gone = append(d.gone, a.ID)
	}
	delete(d.waiting, a.ID)
	return out
}

// attend hands the machine what is asked, and tells who waits what keeps the view from deciding.
func (j *journal) attend() {
	d, now := &j.desk, j.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.asked {
		j.machine.Ask(now, a)
	}
	for _, id := range d.gone {
		j.machine.Withdraw(id)
	}
	d.asked, d.gone = nil, nil
	if len(d.waiting) == 0 {
		return
	}
	hold, text := j.machine.Holds(now)
	if hold != d.hold {
		d.hold, d.since = hold, now
	}
	d.held = text
	final := hold == autonomy.HoldReached || hold != "" && hold != autonomy.HoldSession && now-d.since >= holdPatience
	for _, w := range d.waiting {
		if final && len(w.hold) == 0 {
			w.hold <- hold
		}
	}
}

// answered tells who waits, when all that was saved is on disk and in force.
func (j *journal) answered() {
	d := &j.desk
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.due {
		if w := d.waiting[r.ID]; w != nil && len(w.reply) == 0 {
			w.reply <- r
		}
	}
	d.due = nil
}

// noteAnswers keeps the answers, and logs what this node has answered as the coordinator.
func (j *journal) noteAnswers(out *autonomy.Out) {
	j.desk.due = append(j.desk.due, out.Replies...)
	for i := range out.Answered {
		a, r := &out.Answered[i].Ask, &out.Answered[i].Reply
		log := j.log.WithValues("verb", a.Verb, "namespace", a.Namespace, "name", a.Name, "by", a.By.String(), "id", a.ID)
		switch {
		case r.Refused != "":
			log.Info("What an operator asked for on a host is refused", "reason", r.Refused)
		case r.Entry != nil:
			log.Info("What an operator asked for on a host is written down", "entry", r.Entry.ID.String(), "changes", r.Entry.Request.Changes)
		}
	}
}

// waits says that a command waits for an answer.
func (j *journal) waits() bool {
	j.desk.mu.Lock()
	defer j.desk.mu.Unlock()
	return len(j.desk.waiting) > 0
}
