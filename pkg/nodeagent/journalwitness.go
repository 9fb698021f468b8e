package nodeagent

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/witness"
)

// partJournalWitness is the part of the problem that the witness does not keep the journal.
const partJournalWitness = "JournalWitness"

// maxKeptPlain bounds what a witness keeps, after decompression: some forty times what it takes compressed.
const maxKeptPlain = 64 << 20

// errTooLargeForWitness says that a state does not fit the witness.
var errTooLargeForWitness = errors.New("the journal is too large for the witness")

// encodeKept makes what the witness keeps of a state: the content of the journal's file.
func encodeKept(s *autonomy.State) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.DefaultCompression)
	if err != nil {
		return nil, fmt.Errorf("encoding the journal: %w", err)
	}
	plain := &counter{to: z}
	stored := storedState{Format: journalFormat, Pending: s.Pending, Lost: s.Lost, Copy: s.Copy, Journal: s.Journal}
	if err := errors.Join(json.NewEncoder(plain).Encode(&stored), z.Close()); err != nil {
		return nil, fmt.Errorf("encoding the journal: %w", err)
	}
	if b.Len() > witness.MaxState || plain.bytes > maxKeptPlain {
		return nil, fmt.Errorf("%w: %d entries and the copy of the cluster's state make %d bytes, %d without compression; it takes %d and %d",
			errTooLargeForWitness, len(s.Journal), b.Len(), plain.bytes, witness.MaxState, maxKeptPlain)
	}
	return b.Bytes(), nil
}

// counter counts what is written.
type counter struct {
	to    io.Writer
	bytes int
}

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += len(p)
	return c.to.Write(p)
}

// decodeKept reads what the witness keeps. The state is nil when it is one that only tells epochs: an agent writes that where nobody
// decides without the API server. epochs is never nil when err is.
func decodeKept(raw []byte) (state *autonomy.State, epochs *replica.Copy, err error) {
	s, err := decodeState(raw, maxKeptPlain)
	if err != nil {
		return nil, nil, err
	}
	if s.Copy != nil || s.Pending {
		if epochs = s.Copy; epochs == nil {
			epochs = &replica.Copy{}
		}
		return s, epochs, nil
	}
	epochs, err = replica.Decode(raw)
	return nil, epochs, err
}

// load is what a load of the witness has found, on its way to the journal.
type load struct {
	state  *autonomy.State
	unread string
	done   chan struct{}
}

// loaded hands in what the witness keeps, while its vote does not count yet. When it returns nil this node has taken it over, and the
// heartbeats say so: whoever counts the vote knows of the journal (J9).
func (j *journal) loaded(ctx context.Context, state *autonomy.State, unread string) error {
	l := &load{state: state, unread: unread, done: make(chan struct{})}
	j.mu.Lock()
	j.load = l
	j.mu.Unlock()
	j.wakeUp()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("what the witness keeps of the journal is not taken over yet: %w", context.Cause(ctx))
	}
}

// kept hands in that a state is on the witness; refused is why it stands there for another.
func (j *journal) kept(serial uint64, refused string) {
	j.mu.Lock()
	j.arrived = &arrival{serial: serial, refused: refused}
	j.mu.Unlock()
	j.wakeUp()
}

// arrival is the word that a state is on the witness.
type arrival struct {
	serial  uint64
	refused string
}

// takeWitness takes what has come from the witness since the last turn.
func (j *journal) takeWitness() (l *load, a *arrival) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l, a, j.load, j.arrived = j.load, j.arrived, nil, nil
	return l, a
}

// fromWitness hands the machine what has come from the witness since the last turn. The standing has been handed in before.
func (j *journal) fromWitness(l *load, a *arrival) {
	if l != nil {
		j.machine.WitnessRead(j.now(), l.state, l.unread)
		j.loading = l
	}
	if a != nil {
		j.machine.Kept(j.now(), a.serial, a.refused)
	}
	if !j.machine.Pending() {
		j.endLoad() // there is nothing that the heartbeats have to say
	}
}

// endLoad lets the load of the witness end.
func (j *journal) endLoad() {
	if j.loading != nil {
		close(j.loading.done)
		j.loading = nil
	}
}

// tellWitness says what the witness does not do for the journal.
func (j *journal) tellWitness() {
	trouble := j.machine.WitnessTrouble()
	if trouble == "" {
		j.problems.set(partJournalWitness, nil)
		return
	}
	j.problems.set(partJournalWitness, []v1alpha1.AgentProblem{{
		Reason: problemJournal, Object: "witness", Message: "without the API server nothing is decided by the vote of the witness: " + trouble,
	}})
}
