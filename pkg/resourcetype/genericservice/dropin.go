package genericservice

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/google/renameio/v2"
)

// dropInName comes last of a unit's drop-ins, which systemd sorts by name: it overrides the others.
const dropInName = "zz-quorate.conf"

func (s *subject) dropInPath() string {
	return filepath.Join(s.dropIns, s.unit+".d", dropInName)
}

// environment is what the unit sees of the cluster, in the order in which it is written.
func (s *subject) environment() []string {
	env := s.inst.Environment()
	if p := s.spec.GenericService.StartParameters; p != "" {
		env = append(env, "QUORATE_START_PARAMETERS="+p)
	}
	return env
}

// dropIn is what is changed about the unit while the cluster runs it. Restarts are the cluster's: it counts them, takes dependents down and
// up, and moves the group; and what the guardian kills must stay down.
func (s *subject) dropIn() (string, error) {
	var b strings.Builder
	b.WriteString("# Written by Quorate while its cluster runs this unit.\n" + s.mark() + "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=no\nRestartForceExitStatus=\n")
	for _, e := range s.environment() {
		quoted, err := quote(e)
		if err != nil {
			return "", err
		}
		b.WriteString("Environment=" + quoted + "\n")
	}
	return b.String(), nil
}

// mark is a line of the drop-in that tells whose it is.
func (s *subject) mark() string { return "# Resource: " + s.inst.Resource.UID + "\n" }

// wasOurs reports that the drop-in of an earlier start of this resource is there.
func (s *subject) wasOurs() bool {
	raw, err := os.ReadFile(s.dropInPath())
	return err == nil && strings.Contains(string(raw), s.mark())
}

// quote makes one word of a value, on one line, from which systemd reads the value again (systemd.syntax(7), and % is for specifiers).
func quote(value string) (string, error) {
	for _, r := range value {
		if unicode.IsControl(r) && r != '\t' && r != '\n' || r == unicode.ReplacementChar {
			name, _, _ := strings.Cut(value, "=")
			return "", fmt.Errorf("%s has the character %q in it, which systemd does not allow in a variable: remove it", name, r)
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "%", "%%").Replace(value) + `"`, nil
}

// takeCharge writes the drop-in and sees to it that it is in force.
func (s *subject) takeCharge(ctx context.Context) error {
	content, err := s.dropIn()
	if err != nil {
		return fmt.Errorf("genericService.startParameters of %s: %w", s.inst.Resource, err)
	}
	if err := os.MkdirAll(filepath.Dir(s.record.DropIn), 0o755); err != nil {
		return fmt.Errorf("making the directory of the drop-in: %w", err)
	}
	if err := renameio.WriteFile(s.record.DropIn, []byte(content), 0o644); err != nil {
		return fmt.Errorf("writing the drop-in: %w", err)
	}
	for reloaded := false; ; reloaded = true {
		u, err := s.units.Unit(ctx, s.unit)
		if err != nil {
			return err
		}
		inForce := u.Restart == "no" && slices.Contains(u.DropIns, s.record.DropIn)
		for _, e := range s.environment() {
			inForce = inForce && slices.Contains(u.Environment, e)
		}
		if inForce && (!u.Stale || reloaded) {
			return nil
		}
		if reloaded {
			return fmt.Errorf("%s is not in force (Restart=%s): another file changes the same settings of %s: %s",
				s.record.DropIn, u.Restart, s.unit, strings.Join(u.DropIns, ", "))
		}
		if err := s.units.Reload(ctx); err != nil {
			return err
		}
	}
}

// remove takes the drop-in away; what systemd has read of it stays in force until it reads the unit again.
func (s *subject) remove() error {
	if err := os.Remove(s.record.DropIn); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the drop-in: %w", err)
	}
	_ = os.Remove(filepath.Dir(s.record.DropIn)) // others may have theirs there
	return nil
}

// release takes the drop-in away, and has systemd forget it: a unit that nothing refers to is forgotten by itself.
func (s *subject) release(ctx context.Context) error {
	if err := s.remove(); err != nil {
		return err
	}
	u, err := s.units.Unit(ctx, s.unit)
	if err != nil {
		return err
	}
	if u.Active == "failed" {
		if err := s.units.ResetFailed(ctx, s.unit); err != nil {
			return err
		}
	}
	if !slices.Contains(u.DropIns, s.record.DropIn) {
		return nil
	}
	return s.units.Reload(ctx)
}
