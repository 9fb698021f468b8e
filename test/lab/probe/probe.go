// Package probe asks a URL every few milliseconds, as an impatient client does, and tells when it was not answered. Each request is a
// new connection and none waits for another.
package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/quorate/quorate/test/lab/protocol"
)

// Command is the hidden subcommand of the lab's binary that probes from where it runs.
const Command = "internal-probe"

// Options say how to probe.
type Options struct {
	URL string
	// Interval between requests; 5 ms if zero. Timeout of one; 1 s if zero.
	Interval, Timeout time.Duration
	// For ends the probe after this time, 0 not at all.
	For time.Duration
	// UntilOutage ends the probe when the first outage has ended.
	UntilOutage bool
}

// Report is what a probe found.
type Report struct {
	URL     string           `json:"url"`
	Begin   protocol.Instant `json:"begin"`
	End     protocol.Instant `json:"end"`
	Sent    int              `json:"sent"`
	Good    int              `json:"good"`
	Failed  int              `json:"failed"`
	Outages []Outage         `json:"outages"`
	// FirstCount and LastCount are the visits that the first and last good answers told.
	FirstCount int64 `json:"firstCount,omitempty"`
	LastCount  int64 `json:"lastCount,omitempty"`
	// LastHost answered last.
	LastHost string `json:"lastHost,omitempty"`
}

// Event is one line of what a probe tells while it runs: the first good answer, an outage that ended, or at the end the report.
type Event struct {
	FirstAnswer bool    `json:"firstAnswer,omitempty"`
	Outage      *Outage `json:"outage,omitempty"`
	Report      *Report `json:"report,omitempty"`
}

// prober is one run.
type prober struct {
	options Options
	client  *http.Client

	mu       sync.Mutex
	report   Report
	answers  []answer
	failures []failure
	pending  map[int]time.Duration // requests under way and when they were begun
}

// Run probes until the options' end or that of the context, calling tell for each event; the report comes last.
func Run(ctx context.Context, o Options, tell func(Event)) error {
	if o.Interval <= 0 {
		o.Interval = 5 * time.Millisecond
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	if u, err := url.Parse(o.URL); err != nil || u.Host == "" {
		return fmt.Errorf("probe %q: not a URL like http://10.77.2.50:8080/", o.URL)
	}
	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	p := &prober{options: o, pending: map[int]time.Duration{}, report: Report{URL: o.URL, Begin: protocol.Now(), Outages: []Outage{}}}
	p.client = &http.Client{Timeout: o.Timeout, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext,
	}}
	p.loop(ctx, tell)
	report := p.finish()
	tell(Event{Report: &report})
	return nil
}

func (p *prober) loop(ctx context.Context, tell func(Event)) {
	send, look := time.NewTicker(p.options.Interval), time.NewTicker(50*time.Millisecond)
	defer send.Stop()
	defer look.Stop()
	answered := false
	for id := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-send.C:
			id++
			p.begin(id)
			go p.ask(id)
		case <-look.C:
			if !answered && p.hasAnswer() {
				answered = true
				tell(Event{FirstAnswer: true})
			}
			fresh := p.fresh()
			for _, o := range fresh {
				tell(Event{Outage: &o})
			}
			if len(fresh) > 0 && p.options.UntilOutage {
				return
			}
		}
	}
}

func (p *prober) begin(id int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.Sent++
	p.pending[id] = protocol.Now().Monotonic
}

// ask makes one request. It does not end with the probe: its own timeout does that.
func (p *prober) ask(id int) {
	begun := protocol.Now()
	host, count, err := p.get()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pending, id)
	if err != nil {
		p.report.Failed++
		p.failures = append(p.failures, failure{begun: begun, err: short(err)})
		return
	}
	p.report.Good++
	p.report.LastCount, p.report.LastHost = max(p.report.LastCount, count), host
	if len(p.answers) == 0 {
		p.report.FirstCount = count
	}
	p.answers = append(p.answers, answer{at: protocol.Now(), host: host, count: count})
}

// get makes one request and reads who answered and how many visits it counts, if the answer tells.
func (p *prober) get() (string, int64, error) {
	request, err := http.NewRequest(http.MethodGet, p.options.URL, nil)
	if err != nil {
		return "", 0, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", 0, err
	}
	if response.StatusCode != http.StatusOK {
		return "", 0, errors.New(response.Status)
	}
	var visit struct {
		Host  string `json:"host"`
		Count int64  `json:"count"`
	}
	_ = json.Unmarshal(body, &visit) // other pages tell nothing, which is no failure
	return visit.Host, visit.Count, nil
}

func (p *prober) hasAnswer() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.answers) > 0
}

// fresh returns outages that have ended since it was last called and in which no request is under way any more, so that they do not
// change again.
func (p *prober) fresh() []Outage {
	p.mu.Lock()
	defer p.mu.Unlock()
	oldest := protocol.Now().Monotonic
	for _, begun := range p.pending {
		oldest = min(oldest, begun)
	}
	oldest -= together // what ended later may yet be lengthened
	var settled []Outage
	for _, o := range findOutages(p.answers, p.failures, protocol.Now()) {
		if o.Ended && o.End.Monotonic < oldest {
			settled = append(settled, o)
		}
	}
	p.report.Outages = append(p.report.Outages, settled...)
	p.forget(oldest)
	return settled
}

// forget drops answers and failures from before a time, but the last answer of those: everything that began then has been told.
func (p *prober) forget(before time.Duration) {
	last := -1
	for n, a := range p.answers {
		if a.time() >= before {
			break
		}
		last = n
	}
	if last < 0 {
		return
	}
	p.answers = slices.Clone(p.answers[last:])
	kept := p.answers[0].time()
	p.failures = slices.DeleteFunc(p.failures, func(f failure) bool { return f.begun.Monotonic < kept })
}

// finish waits for the requests under way and makes the report. An outage that lasts is in it, not ended.
func (p *prober) finish() Report {
	for end := time.Now().Add(p.options.Timeout + 100*time.Millisecond); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		under := len(p.pending)
		p.mu.Unlock()
		if under == 0 {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.End = protocol.Now()
	last := p.report.End
	if n := len(p.answers); n > 0 {
		newest := p.answers[n-1].at
		if !slices.ContainsFunc(p.failures, func(f failure) bool { return f.begun.Monotonic > newest.Monotonic }) {
			last = newest // waiting for the last requests is no outage
		}
	}
	p.report.Outages = append(p.report.Outages, findOutages(p.answers, p.failures, last)...)
	return p.report
}

// short names what went wrong without addresses and ports, so that errors can be counted.
func short(err error) string {
	var timeout interface{ Timeout() bool }
	var code syscall.Errno
	switch {
	case errors.As(err, &code):
		return code.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return timedOut
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return timedOut
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err.Error()
	}
	return err.Error()
}
