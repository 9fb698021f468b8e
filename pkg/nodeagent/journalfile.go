package nodeagent

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
)

const (
	// journalFile is in the state directory: what the node knows of the cluster, and what was decided without the API server.
	journalFile = "journal.gz"
	// unreadableSuffix is added to the name of a file that cannot be used, which is kept for whoever looks into it.
	unreadableSuffix = ".unreadable"
	// journalFormat is the version of the file's form.
	journalFormat = 1
	// maxJournalPlain bounds the file after decompression: 10,000 groups with their resources make some 60 MiB.
	maxJournalPlain = 256 << 20
)

// errGarbledJournal says that a file was not written by an agent, or was damaged.
var errGarbledJournal = errors.New("the journal is garbled")

// storedState is autonomy.State on the disk.
type storedState struct {
	Format  int             `json:"format"`
	Pending bool            `json:"pending,omitempty"`
	Lost    bool            `json:"lost,omitempty"`
	Copy    *replica.Copy   `json:"copy,omitempty"`
	Journal []replica.Entry `json:"journal,omitempty"`
}

// encodeJournal makes the content of the file: JSON, compressed, which has a checksum.
func encodeJournal(s *autonomy.State) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("encoding the journal: %w", err)
	}
	stored := storedState{Format: journalFormat, Pending: s.Pending, Lost: s.Lost, Copy: s.Copy, Journal: s.Journal}
	if err := errors.Join(json.NewEncoder(z).Encode(&stored), z.Close()); err != nil {
		return nil, fmt.Errorf("encoding the journal: %w", err)
	}
	return b.Bytes(), nil
}

// decodeJournal reads the content of the file. It refuses what no agent writes, and a form that is newer than this agent's.
func decodeJournal(raw []byte) (*autonomy.State, error) { return decodeState(raw, maxJournalPlain) }

// decodeState is decodeJournal for a content of at most limit bytes after decompression.
func decodeState(raw []byte, limit int64) (*autonomy.State, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbledJournal, err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errGarbledJournal, err)
	case int64(len(plain)) > limit:
		return nil, fmt.Errorf("%w: it has more than %d bytes", errGarbledJournal, limit)
	}
	var stored storedState
	if err := json.Unmarshal(plain, &stored); err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbledJournal, err)
	}
	if stored.Format != journalFormat {
		return nil, fmt.Errorf("%w: it has format %d, this agent reads %d", errGarbledJournal, stored.Format, journalFormat)
	}
	if err := stored.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbledJournal, err)
	}
	return &autonomy.State{Pending: stored.Pending, Lost: stored.Lost, Copy: stored.Copy, Journal: stored.Journal}, nil
}

// check looks for what the code that reads it could not bear.
func (s *storedState) check() error {
	if c := s.Copy; c != nil {
		if slices.Contains(c.Nodes, nil) || slices.Contains(c.Groups, nil) || slices.Contains(c.Resources, nil) {
			return errors.New("an object of the copy is null")
		}
		for _, g := range c.Groups {
			if e := replica.EpochOf(g); e < 0 || e > int64(model.MaxEpoch) {
				return fmt.Errorf("group %s/%s has epoch %d, which is out of bounds", g.Namespace, g.Name, e)
			}
		}
	}
	for i := range s.Journal {
		e := &s.Journal[i]
		if err := e.Check(); err != nil {
			return err
		}
		if e.UID == "" {
			return fmt.Errorf("entry %s has no uid", e.ID)
		}
	}
	return nil
}

// journalStore keeps the state of the journal on disk. What is written is whole or not there at all.
type journalStore struct {
	path  string
	write func(path string, raw []byte) error
	// failed is told of a write in the background that did not succeed.
	failed func(error)

	mu sync.Mutex
	// issued numbers the writes that were asked for, done is the highest that is on disk: one that was overtaken is left out.
	issued, done uint64
	written      [sha256.Size]byte
	number       sync.Mutex // for issued
}

// load reads what an earlier agent has left; nil when there is nothing. A file that cannot be used is kept under another name, and the
// node is taken for one that has lost a journal (J5): it obeys nobody until a session of its view has given it the cluster's state, and
// says until every node has been in a view with it that any other may have run anything.
func (s *journalStore) load() (*autonomy.State, error) {
	raw, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var state *autonomy.State
	if err == nil {
		if state, err = decodeJournal(raw); err == nil {
			s.written = sha256.Sum256(raw)
			return state, nil
		}
	}
	err = fmt.Errorf("%s cannot be read, what was decided without the API server may be unknown here: this node obeys nobody until the others "+
		"have told it: %w", s.path, err)
	// It stays in its place until what is returned here has replaced it: no crash may leave nothing at all.
	aside := s.path + unreadableSuffix
	if linked := errors.Join(removeIfThere(aside), os.Link(s.path, aside)); linked != nil {
		err = errors.Join(err, fmt.Errorf("keeping it for later: %w", linked))
	}
	return &autonomy.State{Pending: true, Lost: true}, err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing an older one: %w", err)
	}
	return nil
}

// now writes the state; when it returns nil, the state is on disk.
func (s *journalStore) now(state *autonomy.State) error { return s.save(state, s.next()) }

// later writes the state in the background, unless a newer one is written before.
func (s *journalStore) later(state *autonomy.State) {
	turn := s.next()
	go func() {
		if err := s.save(state, turn); err != nil {
			s.failed(err)
		}
	}()
}

func (s *journalStore) next() uint64 {
	s.number.Lock()
	defer s.number.Unlock()
	s.issued++
	return s.issued
}

func (s *journalStore) save(state *autonomy.State, turn uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if turn < s.done {
		return nil
	}
	raw, err := encodeJournal(state)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	if sum != s.written {
		s.written = [sha256.Size]byte{} // a write that fails half-way may have left either
		if err := s.write(s.path, raw); err != nil {
			return err
		}
	}
	s.done, s.written = turn, sum
	return nil
}

// notWritten takes the failure of a write in the background: the copy is made again.
func (j *journal) notWritten(err error) {
	j.log.Error(err, "The copy of the cluster's state is not on disk; it is written again")
	j.problems.one(problemJournal, "", err.Error())
	j.touched()
}
