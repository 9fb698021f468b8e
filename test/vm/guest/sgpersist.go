package guest

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Exit codes of sg_persist (sg3_utils(8)).
const (
	exitAttention = 6
	exitConflict  = 24
)

// attentions is how many UNIT ATTENTIONs a command may meet: one disk has a handful of reasons for one.
const attentions = 5

// Reservations is what a target says of a disk, read by sg_persist: a witness that shares no code with the project.
type Reservations struct {
	// Keys has one key for each registered path, 0x and hexadecimal digits without leading zeros, in the target's order.
	Keys []string
	// Holder is empty when the disk is not reserved. Type is the text, such as "Write Exclusive, registrants only".
	Holder, Type string
}

var (
	keyLine  = regexp.MustCompile(`(?m)^\s+0x([0-9a-f]+)\s*$`)
	holder   = regexp.MustCompile(`Key=0x([0-9a-f]+)`)
	kindLine = regexp.MustCompile(`type:\s*(.+)$`)
)

// ReadReservations asks the target, through the device of any host, registered or not.
func ReadReservations(t testing.TB, device string) Reservations {
	t.Helper()
	var r Reservations
	for _, match := range keyLine.FindAllStringSubmatch(persistIn(t, "--read-keys", device), -1) {
		r.Keys = append(r.Keys, "0x"+match[1])
	}
	out := persistIn(t, "--read-reservation", device)
	if match := holder.FindStringSubmatch(out); match != nil {
		r.Holder = "0x" + match[1]
	}
	if match := kindLine.FindStringSubmatch(strings.TrimSpace(out)); match != nil {
		r.Type = match[1]
	}
	return r
}

// persistIn reads something. UNIT ATTENTION is news about the past and no answer, so it is asked again.
func persistIn(t testing.TB, what, device string) string {
	t.Helper()
	var out string
	for range attentions {
		var err error
		if out, err = Try(t, "sg_persist", "--no-inquiry", "--in", what, device); err == nil {
			return out
		} else if ExitCode(err) != exitAttention {
			break
		}
	}
	t.Fatalf("sg_persist %s %s fails:\n%s", what, device, out)
	return ""
}

// Persist sends one PERSISTENT RESERVE OUT with sg_persist's own options, such as "--register", "--param-sark=0x1". It reports
// whether the target took it; false is RESERVATION CONFLICT, everything else fails the test. A UNIT ATTENTION is tried again.
func Persist(t testing.TB, device string, options ...string) bool {
	t.Helper()
	args := append([]string{"--no-inquiry", "--out"}, append(options, device)...)
	for range attentions {
		out, err := Try(t, "sg_persist", args...)
		switch {
		case err == nil:
			return true
		case ExitCode(err) == exitConflict:
			return false
		case ExitCode(err) != exitAttention:
			t.Fatalf("sg_persist %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	t.Fatalf("sg_persist %s: still UNIT ATTENTION after %d tries", strings.Join(args, " "), attentions)
	return false
}

// WriteSector writes one sector past every cache, as a host's file system would, and reports whether the disk took it. EBADE is how
// the block layer tells RESERVATION CONFLICT; another error fails the test.
func WriteSector(t testing.TB, device string, sector int64, content byte) bool {
	t.Helper()
	err := writeDirect(device, sector, content)
	switch {
	case err == nil:
		return true
	case errors.Is(err, unix.EBADE):
		return false
	}
	t.Fatalf("writing %s: %v, want success or EBADE", device, err)
	return false
}

const sectorSize = 4096

func writeDirect(device string, sector int64, content byte) error {
	fd, err := unix.Open(device, unix.O_WRONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	page, err := unix.Mmap(-1, 0, sectorSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned, as O_DIRECT wants
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(page) }()
	for i := range page {
		page[i] = content
	}
	n, err := unix.Pwrite(fd, page, sector*sectorSize)
	if err == nil && n != sectorSize {
		return fmt.Errorf("wrote %d of %d bytes", n, sectorSize)
	}
	return err
}

// SectorBehind reads the first byte of a sector from the disk's own storage, whatever any host may do.
func (l *LUN) SectorBehind(t testing.TB, sector int64) byte {
	t.Helper()
	f, err := os.Open(l.File)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	one := make([]byte, 1)
	if _, err := f.ReadAt(one, sector*sectorSize); err != nil {
		t.Fatal(err)
	}
	return one[0]
}
