package reservation

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSidecar takes a disk over between two hosts that only share the file.
func TestSidecar(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.img")
	must(t, os.WriteFile(file, make([]byte, 512), 0o600))
	open := func(nexus string) Device {
		d, err := OpenFile(file, nexus)
		must(t, err)
		return d
	}
	r, err := Acquire(t.Context(), open("node-1"), key(t, 1, 1), nil)
	must(t, err)
	if diff := cmp.Diff(Result{PTPL: true}, r); diff != "" {
		t.Errorf("a fresh disk (-want +got):\n%s", diff)
	}
	r, err = Acquire(t.Context(), open("node-2"), key(t, 2, 2), nil)
	must(t, err)
	if diff := cmp.Diff(Result{PTPL: true, Preempted: true, EpochFound: 1}, r); diff != "" || r.Proof() {
		t.Errorf("a taken disk: proof %v (-want +got):\n%s", r.Proof(), diff)
	}
	if err := Verify(t.Context(), open("node-1"), key(t, 1, 1)); err == nil {
		t.Error("the old owner does not notice its loss")
	}
	must(t, os.WriteFile(file+sidecarSuffix, []byte(`{"generation`), 0o600))
	if _, err := open("node-1").ReadStatus(t.Context()); err == nil || !strings.Contains(err.Error(), "garbled") {
		t.Errorf("reading a garbled sidecar: %v, want an error that says so", err)
	}
}

// TestSidecarConcurrent lets several hosts register at the same moment; none may be lost.
func TestSidecarConcurrent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk.img")
	must(t, os.WriteFile(file, nil, 0o600))
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			d := openSidecar(file, string(rune('a'+n)))
			for range 5 {
				if err := d.RegisterIgnore(t.Context(), Key(1<<epochBits|uint64(n+1))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	st, err := openSidecar(file, "z").ReadStatus(t.Context())
	must(t, err)
	if len(st.Keys) != 8 || st.Generation != 40 {
		t.Errorf("%d keys of 8, generation %d of 40", len(st.Keys), st.Generation)
	}
}

// TestWire keeps the words of the emulated reservations, which file servers of other versions speak too.
func TestWire(t *testing.T) {
	var got Status
	must(t, json.Unmarshal([]byte(`{"enforced":true,"ptpl":true,"generation":7,"keys":["0xabcdef0010000001"],"holder":"0xabcdef0010000001","type":5}`), &got))
	want := Status{Enforced: true, PTPL: true, Generation: 7, Keys: []Key{key(t, 1, 1)}, Holder: key(t, 1, 1), Type: 5}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	must(t, json.Unmarshal([]byte(`{"keys":[],"holder":""}`), &got))
	raw, err := json.Marshal(wireCommand{Service: ServiceRegister, Key: hex(0), ServiceKey: hex(key(t, 1, 1)), Type: 0})
	must(t, err)
	if want := `{"service":"register","key":"0x0","serviceKey":"0xabcdef0010000001"}`; string(raw) != want {
		t.Errorf("command %s, want %s", raw, want)
	}
	if _, err := OpenFile(filepath.Join(t.TempDir(), "missing"), "a"); err == nil {
		t.Error("a missing file opens")
	}
}
