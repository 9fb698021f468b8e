package array

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const (
	keyA Key = 0x0a
	keyB Key = 0x0b
)

// step is one command of a host and the error it ends in.
type step struct {
	host string
	c    Command
	want error
}

func registered(extra ...step) []step {
	return append([]step{
		{host: "a", c: Command{Service: Register, ServiceKey: keyA}},
		{host: "b", c: Command{Service: Register, ServiceKey: keyB}},
	}, extra...)
}

func reserved(extra ...step) []step {
	return registered(append([]step{{host: "a", c: Command{Service: Reserve, Key: keyA, Type: 5}}}, extra...)...)
}

// Each case follows SPC-4 5.13; writers are the hosts of a, b, c that may write afterwards.
func TestReservations(t *testing.T) {
	cases := map[string]struct {
		steps   []step
		want    State
		writers string
	}{
		"a new disk is everyone's": {want: State{Keys: []Key{}}, writers: "abc"},
		"registering alone stops no one": {
			steps: registered(), want: State{Generation: 2, Keys: []Key{keyA, keyB}}, writers: "abc",
		},
		"write exclusive, registrants only": {
			steps: reserved(), want: State{Generation: 2, Keys: []Key{keyA, keyB}, Holder: "0x000000000000000a", Type: 5}, writers: "ab",
		},
		"write exclusive has one writer": {
			steps: registered(step{host: "a", c: Command{Service: Reserve, Key: keyA, Type: 1}}),
			want:  State{Generation: 2, Keys: []Key{keyA, keyB}, Holder: "0x000000000000000a", Type: 1}, writers: "a",
		},
		"a second register needs the old key": {
			steps: []step{
				{host: "a", c: Command{Service: Register, ServiceKey: keyA}},
				{host: "a", c: Command{Service: Register, ServiceKey: keyB}, want: unix.EBADE},
				{host: "a", c: Command{Service: Register, Key: keyA, ServiceKey: keyB}},
			},
			want: State{Generation: 2, Keys: []Key{keyB}}, writers: "abc",
		},
		"register-ignore needs none": {
			steps: []step{
				{host: "a", c: Command{Service: RegisterIgnore, ServiceKey: keyA}},
				{host: "a", c: Command{Service: RegisterIgnore, ServiceKey: keyB}},
			},
			want: State{Generation: 2, Keys: []Key{keyB}}, writers: "abc",
		},
		"an unregistered host cannot reserve, release, clear or preempt": {
			steps: reserved(
				step{host: "c", c: Command{Service: Reserve, Type: 5}, want: unix.EBADE},
				step{host: "c", c: Command{Service: Release, Type: 5}, want: unix.EBADE},
				step{host: "c", c: Command{Service: Clear}, want: unix.EBADE},
				step{host: "c", c: Command{Service: PreemptAbort, ServiceKey: keyA, Type: 5}, want: unix.EBADE},
			),
			want: State{Generation: 2, Keys: []Key{keyA, keyB}, Holder: "0x000000000000000a", Type: 5}, writers: "ab",
		},
		"a second reserve conflicts, the holder's own does not": {
			steps: reserved(
				step{host: "b", c: Command{Service: Reserve, Key: keyB, Type: 5}, want: unix.EBADE},
				step{host: "a", c: Command{Service: Reserve, Key: keyA, Type: 5}},
				step{host: "a", c: Command{Service: Reserve, Key: keyA, Type: 1}, want: unix.EBADE},
			),
			want: State{Generation: 2, Keys: []Key{keyA, keyB}, Holder: "0x000000000000000a", Type: 5}, writers: "ab",
		},
		"release by another changes nothing, of another type is invalid": {
			steps: reserved(
				step{host: "b", c: Command{Service: Release, Key: keyB, Type: 5}},
				step{host: "a", c: Command{Service: Release, Key: keyA, Type: 1}, want: unix.EINVAL},
			),
			want: State{Generation: 2, Keys: []Key{keyA, keyB}, Holder: "0x000000000000000a", Type: 5}, writers: "ab",
		},
		"release keeps the registrations": {
			steps: reserved(step{host: "a", c: Command{Service: Release, Key: keyA, Type: 5}}),
			want:  State{Generation: 2, Keys: []Key{keyA, keyB}}, writers: "abc",
		},
		"a holder that unregisters releases": {
			steps: reserved(step{host: "a", c: Command{Service: Register, Key: keyA}}),
			want:  State{Generation: 3, Keys: []Key{keyB}}, writers: "abc",
		},
		"another that unregisters does not": {
			steps: reserved(step{host: "b", c: Command{Service: RegisterIgnore}}),
			want:  State{Generation: 3, Keys: []Key{keyA}, Holder: "0x000000000000000a", Type: 5}, writers: "a",
		},
		"preempt takes the reservation and unregisters the holder": {
			steps: reserved(step{host: "b", c: Command{Service: PreemptAbort, Key: keyB, ServiceKey: keyA, Type: 5}}),
			want:  State{Generation: 3, Keys: []Key{keyB}, Holder: "0x000000000000000b", Type: 5}, writers: "b",
		},
		"preempt of a registrant that holds nothing leaves the reservation": {
			steps: reserved(step{host: "a", c: Command{Service: PreemptAbort, Key: keyA, ServiceKey: keyB, Type: 5}}),
			want:  State{Generation: 3, Keys: []Key{keyA}, Holder: "0x000000000000000a", Type: 5}, writers: "a",
		},
		"preempt of a key that no one has conflicts": {
			steps: reserved(
				step{host: "b", c: Command{Service: PreemptAbort, Key: keyB, ServiceKey: 0x77, Type: 5}, want: unix.EBADE},
				step{host: "b", c: Command{Service: PreemptAbort, Key: keyB, Type: 5}, want: unix.EINVAL},
			),
			want: State{Generation: 2, Keys: []Key{keyA, keyB}, Holder: "0x000000000000000a", Type: 5}, writers: "ab",
		},
		"clear removes everything": {
			steps: reserved(step{host: "b", c: Command{Service: Clear, Key: keyB}}),
			want:  State{Generation: 3, Keys: []Key{}}, writers: "abc",
		},
		"a reset of the LUN keeps reservations": {
			steps: reserved(step{host: "c", c: Command{Service: LUNReset}}),
			want:  State{Generation: 2, Keys: []Key{keyA, keyB}, Holder: "0x000000000000000a", Type: 5}, writers: "ab",
		},
		"all-registrants types and unknown services are refused": {
			steps: registered(
				step{host: "a", c: Command{Service: Reserve, Key: keyA, Type: 7}, want: unix.EINVAL},
				step{host: "a", c: Command{Service: "steal", Key: keyA}, want: unix.EINVAL},
			),
			want: State{Generation: 2, Keys: []Key{keyA, keyB}}, writers: "abc",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := &disk{res: newReservations(), aborts: map[string]uint64{}}
			for i, s := range tc.steps {
				if err := d.command(s.host, s.c); !errors.Is(err, s.want) {
					t.Fatalf("step %d, %s %+v: got %v, want %v", i, s.host, s.c, err, s.want)
				}
			}
			tc.want.Enforced, tc.want.PersistThroughPowerLoss = true, true
			if diff := cmp.Diff(tc.want, d.res.state()); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
			var writers strings.Builder
			for _, host := range []string{"a", "b", "c"} {
				if d.res.mayWrite(host) {
					writers.WriteString(host)
				}
			}
			if writers.String() != tc.writers {
				t.Errorf("writers: got %q, want %q", writers.String(), tc.writers)
			}
		})
	}
}

func TestAborts(t *testing.T) {
	d := &disk{res: newReservations(), aborts: map[string]uint64{}}
	for _, s := range reserved(step{host: "b", c: Command{Service: PreemptAbort, Key: keyB, ServiceKey: keyA, Type: 5}}) {
		if err := d.command(s.host, s.c); err != nil {
			t.Fatal(err)
		}
	}
	if got := [2]uint64{d.abortCount("a"), d.abortCount("b")}; got != [2]uint64{1, 0} {
		t.Errorf("aborts of a and b: %v, only the victim's commands are aborted", got)
	}
	if err := d.command("b", Command{Service: LUNReset}); err != nil {
		t.Fatal(err)
	}
	if got := [3]uint64{d.abortCount("a"), d.abortCount("b"), d.abortCount("c")}; got != [3]uint64{2, 1, 1} {
		t.Errorf("aborts of a, b, c after a reset: %v, everyone's commands are aborted", got)
	}
}

func TestWireForm(t *testing.T) {
	d := &disk{res: newReservations(), aborts: map[string]uint64{}}
	for _, s := range reserved() {
		if err := d.command(s.host, s.c); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.stateJSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"enforced":true,"ptpl":true,"generation":2,"keys":["0x000000000000000a","0x000000000000000b"],` +
		`"holder":"0x000000000000000a","type":5}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c, err := parseCommand([]byte(`{"service":"preempt-abort","key":"0xb","serviceKey":"0xa","type":5}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Command{Service: PreemptAbort, Key: keyB, ServiceKey: keyA, Type: 5}, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "{", `{"key":"twelve"}`, `{"key":"0x10000000000000000"}`} {
		if _, err := parseCommand([]byte(bad)); err == nil {
			t.Errorf("command %q is accepted", bad)
		}
	}
	var state State
	if err := json.Unmarshal(got, &state); err != nil {
		t.Errorf("the state cannot be read back: %v", err)
	}
}
