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

// TestFingerprint: what says how a resource is treated restarts nothing, what says what it is does.
func TestFingerprint(t *testing.T) {
	const base = `{"type":"IPAddress","groupName":"g","ipAddress":{"network":"lan","address":"10.0.0.9/24"}}`
	print := func(spec string) string {
		t.Helper()
		f, err := Fingerprint("IPAddress", json.RawMessage(spec), "")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for spec, same := range map[string]bool{
		`{"type":"IPAddress","groupName":"h","description":"x","ipAddress":{"network":"lan","address":"10.0.0.9/24"}}`:               true,
		`{"type":"IPAddress","groupName":"g","ipAddress":{"network":"lan","address":"10.0.0.9/24","whenIsolated":"Ignore"}}`:         true,
		`{"type":"IPAddress","groupName":"g","ipAddress":{"network":"wan","address":"10.0.0.9/24","whenIsolated":"Ignore"}}`:         false,
		`{"type":"IPAddress","groupName":"g","ocf":{"whenIsolated":"Ignore"},"ipAddress":{"network":"lan","address":"10.0.0.9/24"}}`: false,
	} {
		if got := print(spec) == print(base); got != same {
			t.Errorf("%s: the same = %v, want %v", spec, got, same)
		}
	}
	if _, err := Fingerprint("IPAddress", json.RawMessage("[]"), ""); err == nil {
		t.Error("a list is taken for a spec")
	}
}
