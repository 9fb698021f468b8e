package pacemaker

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrMissing says that crm_simulate is not there.
var ErrMissing = errors.New("crm_simulate is not installed (Debian: pacemaker-cli-utils): run make setup")

// Cost is what a run of crm_simulate took.
type Cost struct{ User, Wall time.Duration }

// Find looks for crm_simulate.
func Find() (string, error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin") {
		path := filepath.Join(dir, "crm_simulate")
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", ErrMissing
}

// answer is what crm_simulate prints with --output-as=xml, as far as it matters here.
type answer struct {
	Actions []struct {
		Action   string `xml:"action,attr"`
		Resource string `xml:"resource,attr"`
		Node     string `xml:"node,attr"`
		Source   string `xml:"source,attr"`
		Dest     string `xml:"dest,attr"`
		Blocked  string `xml:"blocked,attr"` // it would, and cannot
	} `xml:"actions>rsc_action"`
	Status struct {
		Code    int    `xml:"code,attr"`
		Message string `xml:"message,attr"`
	} `xml:"status"`
}

// Ask has Pacemaker decide over a CIB file. It returns crm_simulate's answer.
func Ask(ctx context.Context, file string) ([]byte, Cost, error) {
	program, err := Find()
	if err != nil {
		return nil, Cost{}, err
	}
	var out, errs strings.Builder
	command := exec.CommandContext(ctx, program, "--run", "--xml-file", file, "--output-as=xml")
	command.Stdout, command.Stderr = &out, &errs
	command.Env = append(os.Environ(), "PCMK_logfile=none", "LC_ALL=C")
	start := time.Now()
	err = command.Run()
	cost := Cost{Wall: time.Since(start)}
	if command.ProcessState != nil {
		cost.User = command.ProcessState.UserTime()
	}
	if err != nil {
		return nil, cost, errors.Join(fmt.Errorf("crm_simulate: %w: %s", err, strings.TrimSpace(errs.String())), ctx.Err())
	}
	return []byte(out.String()), cost, nil
}

// Place asks Pacemaker where everything goes in a state. It returns the owners by resource; one of which not all members run on one
// node is an error, since nothing in the generator makes such.
func (c *Cluster) Place(ctx context.Context, directory string, state State) (map[string]string, error) {
	file := filepath.Join(directory, "cib.xml")
	if err := os.WriteFile(file, c.CIB(state), 0o600); err != nil {
		return nil, err
	}
	out, _, err := Ask(ctx, file)
	if err != nil {
		return nil, err
	}
	var a answer
	if err := xml.Unmarshal(out, &a); err != nil || a.Status.Code != 0 {
		return nil, fmt.Errorf("reading what crm_simulate says: %w: status %d %s", err, a.Status.Code, a.Status.Message)
	}
	at := map[string]string{}
	for i := range c.Resources {
		for _, id := range c.Resources[i].primitives() {
			if owner := state.Owners[c.Resources[i].Name]; owner != "" && !state.Down[owner] {
				at[id] = owner
			}
		}
	}
	for _, act := range a.Actions {
		if act.Blocked == "true" {
			continue
		}
		switch strings.ToLower(act.Action) {
		case "start":
			at[act.Resource] = act.Node
		case "stop":
			delete(at, act.Resource)
		case "move", "migrate":
			at[act.Resource] = act.Dest
		case "restart", "recover", "reload", "leave", "noop":
		default:
			return nil, fmt.Errorf("crm_simulate says %q of %s, which is not known here", act.Action, act.Resource)
		}
	}
	return c.owners(at)
}

func (c *Cluster) owners(at map[string]string) (map[string]string, error) {
	owners := map[string]string{}
	for i := range c.Resources {
		r := &c.Resources[i]
		ids := r.primitives()
		for _, id := range ids[1:] {
			if at[id] != at[ids[0]] {
				return nil, fmt.Errorf("the members of %s are apart: %s on %q, %s on %q", r.Name, ids[0], at[ids[0]], id, at[id])
			}
		}
		if at[ids[0]] != "" {
			owners[r.Name] = at[ids[0]]
		}
	}
	return owners, nil
}

// UserTime is this process's user CPU time.
func UserTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano())
}
