package nvme

import (
	"context"
	"encoding/binary"
	"fmt"
)

// Report is who is registered with a namespace and who holds it.
type Report struct {
	Generation uint32
	// Type of the reservation in NVMe's numbering, 0 when there is none.
	Type byte
	// Persists says that registrations and reservation survive a power loss.
	Persists bool
	// Keys has one for each registered controller; Holder is the holder's.
	Keys   []uint64
	Holder uint64
	// Missing is how many registered controllers did not fit the buffer.
	Missing int
}

// Layout of the report: a header, then an entry for each registered controller. The extended one has room for host ids of 128 bits,
// which is what Linux uses.
type layout struct{ header, entry, key int }

var (
	plainLayout    = layout{header: 24, entry: 24, key: 16}
	extendedLayout = layout{header: 64, entry: 64, key: 8}
)

// ParseReport reads a report.
func ParseReport(raw []byte, extended bool) (Report, error) {
	l := plainLayout
	if extended {
		l = extendedLayout
	}
	if len(raw) < l.header {
		return Report{}, fmt.Errorf("a reservation report of %d bytes, want at least %d", len(raw), l.header)
	}
	r := Report{Generation: binary.LittleEndian.Uint32(raw), Type: raw[4], Persists: raw[9] != 0}
	count := int(binary.LittleEndian.Uint16(raw[5:]))
	body := raw[l.header:]
	for range count {
		if len(body) < l.entry {
			break
		}
		key := binary.LittleEndian.Uint64(body[l.key:])
		r.Keys = append(r.Keys, key)
		if body[2]&1 != 0 {
			r.Holder = key
		}
		body = body[l.entry:]
	}
	r.Missing = count - len(r.Keys)
	return r, nil
}

// maxReport bounds the report: more hosts than a cluster has.
const maxReport = 1 << 20

// ReadReport asks for the report.
func ReadReport(ctx context.Context, t Transport) (Report, error) {
	extended, length := true, reportLength
	for {
		status, raw, err := t.Do(ctx, report(length, extended))
		switch {
		case err != nil:
			return Report{}, fmt.Errorf("reading the reservation report: %w", err)
		case extended && (status&statusMask == statusHostIDFormat || status&statusMask == statusInvalidField):
			// An older controller, or one whose hosts have short ids.
			extended = false
			continue
		}
		if err := Check(status); err != nil {
			return Report{}, fmt.Errorf("reading the reservation report: %w", err)
		}
		r, err := ParseReport(raw, extended)
		if err != nil {
			return Report{}, err
		}
		if r.Missing == 0 {
			return r, nil
		}
		if length *= 4; length > maxReport {
			return Report{}, fmt.Errorf("reading the reservation report: %d hosts are registered, which is too many", len(r.Keys)+r.Missing)
		}
	}
}

// Send carries out a command that returns no data.
func Send(ctx context.Context, t Transport, c Command) error {
	status, _, err := t.Do(ctx, c)
	if err == nil {
		err = Check(status)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}
