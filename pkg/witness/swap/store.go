package swap

import (
	"context"
	"errors"
)

// Version names one state of the document; empty: the document is not there yet.
type Version string

// ErrChanged says that a swap found another version than it expected. It is also the answer when it cannot be told whether the swap
// happened: the caller reads again.
var ErrChanged = errors.New("the document has changed")

// ErrNoState says that a state is not there.
var ErrNoState = errors.New("the state is not there")

// Store keeps the document and the states that it refers to. Errors are wrapped ones of pkg/witness, beside those named here.
type Store interface {
	// Name is for messages.
	Name() string

	// Read returns the document, its version and the store's identity, which never changes while the store lives and differs between
	// stores; all zero when there is no document yet. It may be older than the newest, but not older than the last that this Store
	// itself has swapped in. Read is asked again until it is new enough, so it makes an effort to be.
	Read(ctx context.Context) (Document, error)

	// Swap replaces the document if its version is old ("": if there is none). It is atomic among all hosts, even against one that
	// was frozen between its read and its swap for any time. When it returns nil the document is durable. note is what people may be
	// shown.
	Swap(ctx context.Context, old Version, raw []byte, note Note) error

	// ReadState returns a state by its name; ErrNoState if it is not there.
	ReadState(ctx context.Context, ref StateRef) ([]byte, error)

	// WriteState stores a state durably. Writing the same again changes nothing.
	WriteState(ctx context.Context, ref StateRef, data []byte) error

	// Tidy removes what the present document, which was swapped in a moment ago, makes useless: states of a lower version than
	// present's, and remains of failed swaps. A remain that cannot be removed is left to the next time.
	Tidy(ctx context.Context, present StateRef)

	// Close gives the store's resources back.
	Close() error
}

// Document is what Read returns.
type Document struct {
	// ID is the store's identity.
	ID uint64
	// Version to swap against.
	Version Version
	// Raw content; nil for none.
	Raw []byte
}

// Note tells people who holds the witness.
type Note struct {
	// Holder is a node id; 0 for nobody.
	Holder uint16
	// Renewed is set if the holder looked.
	Renewed bool
}

// StateRef names a state. The zero StateRef is no state.
type StateRef struct {
	Version uint64 `json:"version"`
	// Sum is the SHA-256 of the state, in hexadecimal.
	Sum string `json:"sum"`
	// Size in bytes.
	Size int `json:"size"`
}
