package mesh

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/replica"
)

const (
	// maxPacked is how large a message may be on the wire, maxPlain after decompression. A copy of a cluster of 64 nodes and 1000 groups
	// takes about a twentieth of that.
	maxPacked = 32 << 20
	maxPlain  = 64 << 20
)

// codec packs and reads messages; it is safe for concurrent use.
type codec struct {
	pack   *zstd.Encoder
	unpack *zstd.Decoder
}

func newCodec() (*codec, error) {
	pack, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("making the compressor: %w", err)
	}
	unpack, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPlain))
	if err != nil {
		return nil, fmt.Errorf("making the decompressor: %w", err)
	}
	return &codec{pack: pack, unpack: unpack}, nil
}

// encode refuses what decode would.
func (c *codec) encode(m *autonomy.Message) ([]byte, error) {
	if err := check(m); err != nil {
		return nil, err
	}
	plain, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	if len(plain) > maxPlain {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(plain), maxPlain)
	}
	packed := c.pack.EncodeAll(plain, nil)
	if len(packed) > maxPacked {
		return nil, fmt.Errorf("it has %d bytes after compression, more than %d", len(packed), maxPacked)
	}
	return packed, nil
}

func (c *codec) decode(packed []byte) (*autonomy.Message, error) {
	plain, err := c.unpack.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("decompressing a message: %w", err)
	}
	m := &autonomy.Message{}
	if err := json.Unmarshal(plain, m); err != nil {
		return nil, fmt.Errorf("decoding a message: %w", err)
	}
	if err := check(m); err != nil {
		return nil, fmt.Errorf("decoding a message: %w", err)
	}
	return m, nil
}

// check holds what every reader of a message relies on: which of its pointers are not nil, and which numbers count something.
func check(m *autonomy.Message) error {
	switch {
	case m.Session.View.IsZero():
		return errors.New("the session names no view")
	case (m.Lead == nil) == (m.Follow == nil):
		return errors.New("it needs exactly one of lead and follow")
	case m.Lead != nil:
		l := m.Lead
		if l.From < 0 || l.Commit < 0 || l.Trim < 0 {
			return fmt.Errorf("positions %d, %d, %d: none may be negative", l.From, l.Commit, l.Trim)
		}
		return errors.Join(checkCopy(l.Copy), checkEntries(l.Entries), checkReplies(l.Replies))
	default:
		f := m.Follow
		if f.Has < 0 || f.Trim < 0 {
			return fmt.Errorf("positions %d, %d: none may be negative", f.Has, f.Trim)
		}
		if f.Report != nil && f.Report.Agent == nil {
			return errors.New("the report says nothing of the agent")
		}
		return errors.Join(checkCopy(f.Copy), checkEntries(f.Journal), checkAsks(f.Asks))
	}
}

// checkAsks bounds what a member may ask, and holds what the coordinator relies on.
func checkAsks(asks []autonomy.Ask) error {
	if len(asks) > autonomy.MaxAsks {
		return fmt.Errorf("%d requests: a member asks at most %d at a time", len(asks), autonomy.MaxAsks)
	}
	for i := range asks {
		if err := replica.CheckRequestID(asks[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// checkReplies refuses an answer that says what only the journal may say.
func checkReplies(replies []autonomy.Reply) error {
	for i := range replies {
		if r := &replies[i]; r.Entry != nil || (r.Refused == "") == (r.Explained == nil) {
			return fmt.Errorf("the answer to %q is neither a refusal nor an explanation", r.ID)
		}
	}
	return nil
}

func checkEntries(entries []replica.Entry) error {
	for i := range entries {
		if err := entries[i].Check(); err != nil {
			return err
		}
	}
	return nil
}

func checkCopy(c *replica.Copy) error {
	switch {
	case c == nil:
		return nil
	case c.Cluster == nil && len(c.Nodes)+len(c.Groups)+len(c.Resources) > 0: // who knows nothing has a copy of nothing
		return errors.New("the copy has no cluster")
	case slices.Contains(c.Nodes, nil) || slices.Contains(c.Groups, nil) || slices.Contains(c.Resources, nil):
		return errors.New("the copy has an object that is null")
	}
	return nil
}
