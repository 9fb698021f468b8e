package powerfence

import (
	"strings"
	"testing"
)

func TestParseMetadata(t *testing.T) {
	for name, tc := range map[string]struct {
		xml  string
		want string // part of the error of the check of a level with ip
	}{
		"power":             {plain, ""},
		"fabric":            {strings.Replace(plain, `"on" automatic="0"`, `"on" automatic="1"`, 1), "not power"},
		"no reboot":         {strings.Replace(plain, `<action name="reboot"/>`, "", 1), "not power"},
		"no status":         {strings.Replace(plain, `<action name="status"/>`, "", 1), "no action status"},
		"not xml":           {"Unable to import", "EOF"},
		"another document":  {"<html></html>", "resource-agent"},
		"nested":            {strings.Repeat("<a>", 100), "nested"},
		"larger than bound": {strings.Repeat(" ", maxMetadata+1), "larger"},
		"too many":          {"<resource-agent><actions>" + strings.Repeat(`<action name="x"/>`, maxMetadataItems+1) + "</actions></resource-agent>", "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := parseMetadata([]byte(tc.xml))
			if err == nil {
				l := level(1, "fence_x")
				err = m.check(&l)
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// FuzzMetadata: whatever an agent prints, it is understood or refused.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte("<resource-agent/>"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseMetadata(raw)
		if err != nil {
			return
		}
		l := level(1, "fence_x")
		if err := m.check(&l); err == nil && (m.Fabric || len(m.Actions) < 3) {
			t.Errorf("%q is taken for a usable agent", raw)
		}
	})
}

// FuzzStatus: only code 2 with the word off, and no word on, is off.
func FuzzStatus(f *testing.F) {
	f.Add(2, "Status: OFF\n")
	f.Add(0, "Status: ON\n")
	f.Add(2, "status: off\nStatus: ON")
	f.Add(2, "usage: fence_x")
	f.Fuzz(func(t *testing.T, code int, text string) {
		state := parseStatus(output{code: code, stdout: text})
		if state == powerOff && (code != codeOff || !strings.Contains(strings.ToLower(text), "off")) {
			t.Errorf("%d %q is taken for off", code, text)
		}
	})
}

// FuzzLevel: what a level hands to an agent has exactly one action, whatever the parameters are.
func FuzzLevel(f *testing.F) {
	f.Add("ip", "10.0.0.1")
	f.Add("ip", "x\naction=on")
	f.Add("Action", "on")
	f.Fuzz(func(t *testing.T, name, value string) {
		l := Level{Driver: "fence_x", Parameters: []Parameter{{name, value}}}
		if l.validate() != nil {
			return
		}
		if lines := strings.Split(strings.TrimSuffix(string(l.input("off")), "\n"), "\n"); len(lines) != 2 || lines[0] != "action=off" ||
			strings.HasPrefix(strings.ToLower(lines[1]), "action=") {
			t.Errorf("%q %q becomes %q", name, value, lines)
		}
	})
}
