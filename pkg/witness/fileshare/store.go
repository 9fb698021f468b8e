package fileshare

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/quorate/quorate/pkg/witness"
	"github.com/quorate/quorate/pkg/witness/swap"
)

const (
	// maxDocument bounds what is read as a document.
	maxDocument = 64 << 10
	// patience is how often a listing without a usable head is read again before it counts as what it says. In the moment of a
	// rename a listing may show the old name, the new one, both or none.
	patience = 40
	// breath is the time between two such readings.
	breath = 5 * time.Millisecond
	// tidyEvery is the number of swaps between two looks for remains.
	tidyEvery = 64
	// abandoned is the age of a file under writing that nobody finishes any more.
	abandoned = time.Hour
)

// store is the swap.Store in a directory. It is used by one call at a time.
type store struct {
	dir  directory
	path string

	// root is the identity that this store has seen; 0 for none yet.
	root uint64
	// last is the highest number that this store has swapped in.
	last uint64
	// before is the point that the last swap replaced.
	before point
	swaps  int
}

var _ swap.Store = (*store)(nil)

func (s *store) Name() string { return s.path }

func (s *store) Close() error { return nil }

// Read finds the head and reads its document.
func (s *store) Read(ctx context.Context) (swap.Document, error) {
	var trouble error
	for range patience {
		if err := ctx.Err(); err != nil {
			return swap.Document{}, fmt.Errorf("%w: %s: %w", witness.ErrUnreachable, s.path, context.Cause(ctx))
		}
		head, none, err := s.head()
		if err != nil {
			return swap.Document{}, err
		}
		if none {
			return swap.Document{}, nil
		}
		trouble = fmt.Errorf("%w: %s has an identity but no document", witness.ErrGarbled, s.path)
		if head.number > 0 && head.number < s.last {
			trouble = fmt.Errorf("%w: %s is what it was before this host changed it", witness.ErrGarbled, s.path)
		} else if head.number > 0 {
			raw, err := s.dir.read(head.doc(), maxDocument)
			if err == nil {
				return swap.Document{ID: head.root, Version: swap.Version(head.String()), Raw: raw}, nil
			}
			if !gone(err) {
				return swap.Document{}, s.translate("reading", err)
			}
		}
		time.Sleep(breath)
	}
	return swap.Document{}, fmt.Errorf("%w; if nobody repairs it, empty the directory: the witness then begins anew", trouble)
}

// head lists the directory. It returns the newest head, the zero point if there is none of our identity, or none if the directory is
// not a witness yet.
func (s *store) head() (head point, none bool, err error) {
	names, err := s.dir.list()
	if err != nil {
		return point{}, false, s.translate("listing", err)
	}
	newest := func() point {
		var best point
		for _, name := range names {
			if p, ok := parsePoint(name, headPrefix); ok && p.root == s.root && p.number > best.number {
				best = p
			}
		}
		return best
	}
	if s.root != 0 {
		if head := newest(); head.number > 0 {
			return head, false, nil
		}
	}
	root, err := s.identity()
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.root == 0:
		return point{}, true, nil
	case errors.Is(err, fs.ErrNotExist), err == nil && s.root != 0 && root != s.root:
		return point{}, false, fmt.Errorf("%w: %s is not the witness any more that it was: is it mounted?", witness.ErrAbsent, s.path)
	case err != nil:
		return point{}, false, err
	}
	s.root = root
	return newest(), false, nil
}

func (s *store) identity() (uint64, error) {
	raw, err := s.dir.read(identityName, 64)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		return 0, s.translate("reading", err)
	}
	root, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 16, 64)
	if err != nil || root == 0 {
		return 0, fmt.Errorf("%w: %s/%s does not hold 16 hexadecimal digits; empty the directory: the witness then begins anew",
			witness.ErrGarbled, s.path, identityName)
	}
	return root, nil
}

// Swap replaces the document.
func (s *store) Swap(ctx context.Context, old swap.Version, raw []byte, _ swap.Note) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %s: %w", witness.ErrUnreachable, s.path, context.Cause(ctx))
	}
	if old == "" {
		return s.begin(raw)
	}
	from, ok := parsePoint(string(old), "")
	if !ok {
		return fmt.Errorf("%q is not a version of %s", old, s.path)
	}
	to := from.next()
	if err := s.dir.create(to.doc(), raw); err != nil {
		return s.translate("writing", err)
	}
	if err := s.dir.rename(from.head(), to.head()); err != nil {
		if gone(err) {
			// Perhaps it was ours, and only the answer was lost: then the document must stay, and tidying knows.
			return swap.ErrChanged
		}
		return s.translate("renaming", err)
	}
	if err := s.dir.sync(); err != nil {
		return s.translate("writing", err)
	}
	s.last, s.before = to.number, from
	return nil
}

// begin makes the directory a witness. Of several hosts that do so, the one whose identity gets its name first wins; nothing is found
// of the others' files, since their roots are not the identity.
func (s *store) begin(raw []byte) error {
	first := point{root: random(), number: 1, nonce: random()}
	temporary := newPrefix + fmt.Sprintf("%016x", first.nonce)
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{first.doc(), raw}, {first.head(), nil}, {temporary, fmt.Appendf(nil, "%016x\n", first.root)},
	} {
		if err := s.dir.create(f.name, f.content); err != nil {
			return s.translate("writing", err)
		}
	}
	linked := s.dir.link(temporary, identityName)
	_ = s.dir.remove(temporary) // a remain is tidied away later
	if errors.Is(linked, fs.ErrExist) {
		// Perhaps an answer was lost, and it is ours.
		root, err := s.identity()
		if err != nil {
			return err
		}
		if root != first.root {
			return swap.ErrChanged
		}
	} else if linked != nil {
		return s.translate("linking", linked)
	}
	if err := s.dir.sync(); err != nil {
		return s.translate("writing", err)
	}
	s.root, s.last = first.root, first.number
	return nil
}

// ReadState reads a state.
func (s *store) ReadState(_ context.Context, ref swap.StateRef) ([]byte, error) {
	state, err := s.dir.read(stateName(ref), witness.MaxState)
	switch {
	case gone(err):
		return nil, swap.ErrNoState
	case err != nil:
		return nil, s.translate("reading", err)
	}
	return state, nil
}

// WriteState writes a state under a name that says what it holds.
func (s *store) WriteState(_ context.Context, ref swap.StateRef, data []byte) error {
	temporary := newPrefix + fmt.Sprintf("%016x", random())
	if err := s.dir.create(temporary, data); err != nil {
		return s.translate("writing", err)
	}
	if err := s.dir.rename(temporary, stateName(ref)); err != nil {
		return s.translate("renaming", err)
	}
	if err := s.dir.sync(); err != nil {
		return s.translate("writing", err)
	}
	return nil
}
