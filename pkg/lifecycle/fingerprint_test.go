package lifecycle

import (
	"encoding/json"
	"testing"
)

// TestTuning: what is taken over in place changes the tuning and not the fingerprint, everything else the other way round.
func TestTuning(t *testing.T) {
	spec := func(parameters string) json.RawMessage {
		return json.RawMessage(`{"groupName":"g","loopbackDisk":{"file":"/f","mountPath":"/m"` + parameters + `}}`)
	}
	of := func(raw json.RawMessage) (string, string) {
		t.Helper()
		print, err := Fingerprint("LoopbackDisk", raw, "")
		if err != nil {
			t.Fatal(err)
		}
		tuning, err := Tuning(raw)
		if err != nil {
			t.Fatal(err)
		}
		return print, tuning
	}
	print, tuning := of(spec(""))
	for name, tc := range map[string]struct {
		spec          json.RawMessage
		anew, inPlace bool
	}{
		"nothing": {spec(""), false, false},
		"size":    {spec(`,"size":"2Gi"`), false, true},
		"fsck":    {spec(`,"fsck":"Force"`), false, true},
		"resize":  {spec(`,"resize":"None"`), false, true},
		"options": {spec(`,"options":["noatime"]`), true, false},
		"both":    {spec(`,"options":["noatime"],"size":"2Gi"`), true, true},
	} {
		p, tune := of(tc.spec)
		if anew, inPlace := p != print, tune != tuning; anew != tc.anew || inPlace != tc.inPlace {
			t.Errorf("%s: anew %v, in place %v", name, anew, inPlace)
		}
	}
	if _, tuning := of(json.RawMessage(`{"genericApplication":{"command":["a"]}}`)); tuning != "" {
		t.Errorf("a process has the tuning %q", tuning)
	}
	for _, garbled := range []string{`[]`, `{"loopbackDisk":`} {
		if _, err := Tuning(json.RawMessage(garbled)); err == nil {
			t.Errorf("%s was read", garbled)
		}
	}
}
