package powerfence

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRealAgent runs ClusterLabs' fence_dummy, whose device is a file.
func TestRealAgent(t *testing.T) {
	if _, err := os.Stat("/usr/sbin/fence_dummy"); err != nil {
		t.Skip("package fence-agents is not installed: make setup")
	}
	device := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(device, []byte("on"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := New()
	l := Level{Number: 1, Driver: "fence_dummy", Parameters: []Parameter{{"status_file", device}}}
	r, err := f.Off(t.Context(), []Level{l}, always)
	if content, _ := os.ReadFile(device); err != nil || r.Level != 1 || string(content) != "off" {
		t.Fatalf("%+v, %v; the device is %s", r, err, content)
	}
	if err := f.On(t.Context(), &l); err != nil {
		t.Error(err)
	}
	if content, _ := os.ReadFile(device); string(content) != "on" {
		t.Errorf("the device is %s", content)
	}
	// Its other kind says that all is well and does nothing.
	lies := Level{Number: 2, Driver: "fence_dummy", Timeout: 10 * time.Second, Parameters: []Parameter{{"type", "fail"}}}
	if r, err := f.Off(t.Context(), []Level{lies}, always); err == nil {
		t.Errorf("a device that stays on was taken for off: %+v", r)
	}
	wrong := Level{Number: 1, Driver: "fence_dummy", Parameters: []Parameter{{"status_fiel", device}}}
	if err := f.Check(t.Context(), &wrong); err == nil || !strings.Contains(err.Error(), "knows no parameter status_fiel") {
		t.Errorf("a parameter that the agent would ignore: %v", err)
	}
	for driver, want := range map[string]string{"fence_scsi": "not power", "fence_ifmib": "not power", "fence_kdump": "no action status"} {
		if err := f.Check(t.Context(), &Level{Driver: driver}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", driver, err, want)
		}
	}
}
