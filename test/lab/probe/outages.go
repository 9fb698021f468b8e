package probe

import (
	"slices"
	"time"

	"github.com/quorate/quorate/test/lab/protocol"
)

// slow is how long a client may go without an answer before that is an outage even though no request failed: less is noise of a busy
// machine, on which a single flush of the disk may take a tenth of a second.
const slow = 500 * time.Millisecond

// together is how long answers must come again before an outage has ended: while a service stops or starts, requests that are under
// way may succeed between others that fail.
const together = 100 * time.Millisecond

// timedOut is the failure of a request that was not answered in time; all others were refused or cut off by somebody.
const timedOut = "timeout"

// lostPacket says that a single request went unanswered between others that were answered as ever: a busy machine drops a packet now
// and then, and the connection's first is sent again only after a second.
func lostPacket(failed []failure, gap time.Duration, ended bool) bool {
	return ended && gap < together && len(failed) == 1 && failed[0].err == timedOut
}

// Outage is a time without answers: from the last good answer before it to the first good one after.
type Outage struct {
	Start protocol.Instant `json:"start"`
	// End is the last moment known while the outage lasts.
	End    protocol.Instant `json:"end"`
	Length time.Duration    `json:"length"`
	// Ended says that answers came again.
	Ended bool `json:"ended"`
	// Failed counts the requests that were begun in this time and failed, Errors by their text.
	Failed int            `json:"failed"`
	Errors map[string]int `json:"errors,omitempty"`
	// What the last answer before and the first after said: who answered, and the count of visits.
	HostBefore  string `json:"hostBefore,omitempty"`
	HostAfter   string `json:"hostAfter,omitempty"`
	CountBefore int64  `json:"countBefore,omitempty"`
	CountAfter  int64  `json:"countAfter,omitempty"`
}

// answer is a good answer, at the time when it was complete.
type answer struct {
	at    protocol.Instant
	host  string
	count int64
}

// failure is a failed request, at the time when it was begun.
type failure struct {
	begun protocol.Instant
	err   string
}

func (a answer) time() time.Duration { return a.at.Monotonic }

// findOutages finds the times without answers between the good answers and, if the last answer is older than a failure or than slow,
// the one that lasts at now. answers are in order of time; without any there is no service yet and so no outage.
func findOutages(answers []answer, failures []failure, now protocol.Instant) []Outage {
	if len(answers) == 0 {
		return nil
	}
	byGap := map[int][]failure{}
	for _, f := range failures {
		// The gap before the first answer that came after the request was begun.
		gap, _ := slices.BinarySearchFunc(answers, f.begun.Monotonic, func(a answer, t time.Duration) int {
			if a.time() <= t {
				return -1
			}
			return 1
		})
		if gap > 0 {
			byGap[gap] = append(byGap[gap], f)
		}
	}
	var outages []Outage
	for n := 1; n <= len(answers); n++ {
		before := answers[n-1]
		after, ended := answer{at: now}, false
		if n < len(answers) {
			after, ended = answers[n], true
		}
		failed, gap := byGap[n], after.time()-before.time()
		if len(failed) == 0 && gap < slow || lostPacket(failed, gap, ended) {
			continue
		}
		o := Outage{
			Start: before.at, End: after.at, Length: gap, Ended: ended, Failed: len(failed),
			HostBefore: before.host, HostAfter: after.host, CountBefore: before.count, CountAfter: after.count,
		}
		for _, f := range failed {
			if o.Errors == nil {
				o.Errors = map[string]int{}
			}
			o.Errors[f.err]++
		}
		outages = add(outages, o)
	}
	return outages
}

// add appends an outage, or lengthens the last one if that had hardly ended.
func add(outages []Outage, next Outage) []Outage {
	if len(outages) == 0 {
		return append(outages, next)
	}
	last := &outages[len(outages)-1]
	if next.Start.Monotonic-last.End.Monotonic > together {
		return append(outages, next)
	}
	last.End, last.Ended, last.HostAfter, last.CountAfter = next.End, next.Ended, next.HostAfter, next.CountAfter
	last.Length = last.End.Monotonic - last.Start.Monotonic
	last.Failed += next.Failed
	for text, n := range next.Errors {
		if last.Errors == nil {
			last.Errors = map[string]int{}
		}
		last.Errors[text] += n
	}
	return outages
}
