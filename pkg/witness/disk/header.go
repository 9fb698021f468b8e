package disk

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorate/quorate/pkg/witness"
)

// format is the version of the layout.
const format = 1

// header makes a disk a witness.
type header struct {
	Format int `json:"format"`
	// Cluster is the cluster's id: 16 hexadecimal digits.
	Cluster string `json:"cluster"`
}

var errBlank = errors.New("the disk is blank")

// readHeader returns the witness's identity. errBlank: the disk is zero where it matters, and may be made a witness.
func (d *Device) readHeader() (uint64, error) {
	b := aligned(reserved)
	if err := d.read(b, 0); err != nil {
		return 0, err
	}
	id, err := parseHeader(b, d.cluster)
	if err != nil && !errors.Is(err, errBlank) {
		return 0, fmt.Errorf("witness %s: %w", d.name, err)
	}
	return id, err
}

// parseHeader reads the beginning of a disk.
func parseHeader(beginning []byte, cluster uint64) (uint64, error) {
	var h header
	s, err := unseal(beginning[headerAt:headerAt+block], kindHeader, 0, &h)
	if err != nil {
		s, err = unseal(beginning[headerCopyAt:headerCopyAt+block], kindHeader, 0, &h)
	}
	switch {
	case err != nil && blank(beginning):
		return 0, errBlank
	case err != nil && bytes.HasPrefix(beginning, magic[:6]):
		return 0, fmt.Errorf("%w: both copies of its header: if the disk is a witness of a newer version, upgrade the agent; "+
			"else zero the disk's first MiB, and the witness begins anew", witness.ErrGarbled)
	case err != nil:
		return 0, fmt.Errorf("%w: it holds %s; if nobody needs that, zero the disk's first MiB "+
			"(blkdiscard -z, or dd if=/dev/zero bs=1M count=1)", witness.ErrInUse, found(beginning))
	case h.Format != format || s.id == 0:
		return 0, fmt.Errorf("%w: its format is %d, this agent knows %d: upgrade the agent", witness.ErrGarbled, h.Format, format)
	case h.Cluster != clusterText(cluster):
		return 0, fmt.Errorf("%w: %s, and this is %s; give each cluster a witness of its own, or zero the disk's first MiB "+
			"if the other cluster is gone for good", witness.ErrForeign, h.Cluster, clusterText(cluster))
	}
	return s.id, nil
}

// blank says that nothing is there, beside perhaps a header's copy that was torn while it was written.
func blank(beginning []byte) bool {
	copied := beginning[headerCopyAt : headerCopyAt+block]
	return isZero(beginning[:headerCopyAt]) && isZero(beginning[headerCopyAt+block:reserved]) &&
		(isZero(copied) || bytes.HasPrefix(copied, magic[:]))
}

// ensureHeader makes a blank disk a witness. Only the holder of the reservation calls it: the target refuses the writes of one that was
// preempted meanwhile, so there is one identity.
func (d *Device) ensureHeader(ctx context.Context) error {
	if d.id != 0 {
		return nil
	}
	id, err := d.readHeader()
	if err == nil {
		d.id = id
		return nil
	}
	if !errors.Is(err, errBlank) {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %s: %w", witness.ErrUnreachable, d.name, context.Cause(ctx))
	}
	id = random()
	b, err := seal(sealed{kind: kindHeader, id: id}, header{Format: format, Cluster: clusterText(d.cluster)})
	if err != nil {
		return err
	}
	// The copy first: until both are there the disk is blank, or has a whole header.
	for _, at := range []int64{headerCopyAt, headerAt} {
		if err := d.write(b, at); err != nil {
			return err
		}
	}
	d.id = id
	return nil
}

func clusterText(id uint64) string { return fmt.Sprintf("%016x", id) }

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
