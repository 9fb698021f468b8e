package audit

import (
	"maps"
	"slices"
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Options say how long what is in motion may contradict itself.
type Options struct {
	// Motion is the grace of whatever is settled by one more write or look; 2 s if zero. Two looks are needed besides.
	Motion time.Duration
	// Stop is how long, after selfFence.timeout, something of an old owner may be left; 3 s if zero.
	Stop time.Duration
	// Pending is how long a resource may come online or go offline; 3m30s if zero (the default pendingTimeout and a little).
	Pending time.Duration
	// Online is how long a group that is wanted, and may run, may be found not Online and not under way; 20 s if zero.
	Online time.Duration
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{{&o.Motion, 2 * time.Second}, {&o.Stop, 3 * time.Second}, {&o.Pending, 210 * time.Second}, {&o.Online, 20 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	return o
}

// suspicion is what a rule sees in one look. Its key tells it from others; it holds whatever makes it another one, such as the epoch.
type suspicion struct {
	key     string
	grace   time.Duration
	looks   int
	finding Finding
}

// once makes a suspicion that needs no second look: what was seen can never be right.
func (s suspicion) once() suspicion {
	s.looks, s.grace = 1, 0
	return s
}

// Auditor remembers looks. It is not safe for concurrent use.
type Auditor struct {
	options Options
	pending map[string]*standing
	found   map[string]*Finding
	order   []string
	verdict Verdict
	// memory of the rules that compare looks
	epochs   map[string]model.Epoch
	previous *Look
	views    map[string]published
	together map[string]bool
}

// standing is a suspicion that was seen in the last look.
type standing struct {
	first time.Time
	looks int
}

// New returns an auditor that has seen nothing.
func New(o Options) *Auditor {
	return &Auditor{
		options: o.withDefaults(), pending: map[string]*standing{}, found: map[string]*Finding{},
		epochs: map[string]model.Epoch{}, views: map[string]published{}, together: map[string]bool{},
		verdict: Verdict{Seen: map[Source]int{}, Blind: map[Source]int{}},
	}
}

// Look takes a look and returns what has become certain with it.
func (a *Auditor) Look(l *Look) []Finding {
	l = withJournal(l)
	a.count(l)
	seen := map[string]bool{}
	var fresh []Finding
	for _, s := range a.suspicions(l) {
		if seen[s.key] {
			continue
		}
		seen[s.key] = true
		if f, certain := a.weigh(l, s); certain {
			fresh = append(fresh, f)
		}
	}
	for key := range a.pending {
		if !seen[key] {
			delete(a.pending, key)
		}
	}
	for key, f := range a.found {
		f.Lasts = seen[key]
	}
	a.previous = l
	sortFindings(fresh)
	return fresh
}

func (a *Auditor) count(l *Look) {
	v := &a.verdict
	if v.Looks == 0 {
		v.Began = l.Began
	}
	v.Looks++
	v.Ended, v.Unseen = l.Ended, l.Unseen
	if l.Objects != nil {
		v.Seen[SourceAPI]++
		v.Cluster = l.Objects.Name
	}
	for source, n := range map[Source]int{SourceHosts: len(l.Hosts), SourceDisks: len(l.Disks), SourceAddresses: len(l.Answers)} {
		if n > 0 {
			v.Seen[source] += n
		}
	}
	for _, u := range l.Unseen {
		v.Blind[u.Source]++
	}
}

// weigh makes a finding of a suspicion that has lasted.
func (a *Auditor) weigh(l *Look, s suspicion) (Finding, bool) {
	p := a.pending[s.key]
	if p == nil {
		p = &standing{first: l.Ended}
		a.pending[s.key] = p
	}
	p.looks++
	if known := a.found[s.key]; known != nil {
		known.LastSeen, known.Looks = l.Ended, known.Looks+1
		return Finding{}, false
	}
	if p.looks < max(s.looks, 1) || l.Ended.Sub(p.first) < s.grace {
		return Finding{}, false
	}
	f := s.finding
	f.FirstSeen, f.LastSeen, f.Looks, f.Lasts = p.first, l.Ended, p.looks, true
	a.found[s.key] = &f
	a.order = append(a.order, s.key)
	return f, true
}

// Verdict is the result so far.
func (a *Auditor) Verdict() *Verdict {
	v := a.verdict
	v.Seen, v.Blind = maps.Clone(v.Seen), maps.Clone(v.Blind)
	v.Findings = make([]Finding, 0, len(a.order))
	for _, key := range a.order {
		v.Findings = append(v.Findings, *a.found[key])
	}
	v.Unseen = slices.Clone(v.Unseen)
	sortFindings(v.Findings)
	return &v
}
