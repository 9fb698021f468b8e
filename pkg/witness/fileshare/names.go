package fileshare

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/quorate/quorate/pkg/witness/swap"
)

// identityName is the file that makes a directory a witness.
const identityName = "quorate-witness"

// Beginnings of the other names.
const (
	headPrefix  = "head."
	docPrefix   = "doc."
	statePrefix = "state."
	newPrefix   = "new."
)

// point is one state of the document: what follows the prefix in its names.
type point struct {
	root   uint64
	number uint64
	nonce  uint64
}

func (p point) String() string { return fmt.Sprintf("%016x.%d.%016x", p.root, p.number, p.nonce) }

func (p point) head() string { return headPrefix + p.String() }
func (p point) doc() string  { return docPrefix + p.String() }

// next is a point after p that nobody has ever used.
func (p point) next() point { return point{root: p.root, number: p.number + 1, nonce: random()} }

func parsePoint(name, prefix string) (point, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return point{}, false
	}
	parts := strings.Split(rest, ".")
	if len(parts) != 3 {
		return point{}, false
	}
	root, err1 := strconv.ParseUint(parts[0], 16, 64)
	number, err2 := strconv.ParseUint(parts[1], 10, 64)
	nonce, err3 := strconv.ParseUint(parts[2], 16, 64)
	p := point{root: root, number: number, nonce: nonce}
	// Only the names that this package writes count, so that a point and a name are the same thing.
	if err1 != nil || err2 != nil || err3 != nil || number == 0 || root == 0 || p.String() != rest {
		return point{}, false
	}
	return p, true
}

func stateName(ref swap.StateRef) string {
	return fmt.Sprintf("%s%d.%s", statePrefix, ref.Version, ref.Sum)
}

func parseState(name string) (version uint64, ok bool) {
	rest, ok := strings.CutPrefix(name, statePrefix)
	number, _, found := strings.Cut(rest, ".")
	if !ok || !found {
		return 0, false
	}
	version, err := strconv.ParseUint(number, 10, 64)
	return version, err == nil
}

// random is never 0. crypto/rand does not fail on Linux.
func random() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:])
		if n := binary.LittleEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}
