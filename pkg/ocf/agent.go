package ocf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate/quorate/pkg/nearest"
)

// DefaultRoot is where agents are: DefaultRoot/resource.d/PROVIDER/AGENT.
const DefaultRoot = "/usr/lib/ocf"

// ErrNotFound says that a host has no such agent.
var ErrNotFound = errors.New("there is no such OCF agent here")

// Agent is an agent that is installed on this host.
type Agent struct {
	// Root is DefaultRoot, or where the agents are instead.
	Root     string
	Provider string
	Name     string
}

func (a Agent) String() string { return a.Provider + "/" + a.Name }

// Path of the agent's program.
func (a Agent) Path() string { return filepath.Join(a.Root, "resource.d", a.Provider, a.Name) }

// Find returns the agent, or an error (errors.Is ErrNotFound) that names the one that may have been meant.
func Find(root, provider, name string) (Agent, error) {
	a := Agent{Root: root, Provider: provider, Name: name}
	if provider == "" || name == "" || strings.ContainsRune(provider+name, '/') || strings.HasPrefix(provider, ".") || strings.HasPrefix(name, ".") {
		return a, fmt.Errorf("%q is no name of an OCF agent: use PROVIDER/AGENT, such as heartbeat/pgsql", a.String())
	}
	info, err := os.Stat(a.Path())
	if err == nil && runnable(info) {
		return a, nil
	}
	text := ""
	if all, err := List(root); err == nil {
		names := make([]string, len(all))
		for i := range all {
			names[i] = all[i].String()
		}
		if near := nearest.To(a.String(), names); near != "" {
			text = ": did you mean " + near + "?"
		}
	}
	if text == "" {
		text = ": install the package that brings it (resource-agents has those of heartbeat)"
	}
	return a, fmt.Errorf("%w: %s%s", ErrNotFound, a.Path(), text)
}

// List returns all agents below a root, by provider and name; none when there is no such directory.
func List(root string) ([]Agent, error) {
	var all []Agent
	dir := filepath.Join(root, "resource.d")
	providers, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the OCF agents: %w", err)
	}
	for _, p := range providers {
		entries, err := os.ReadDir(filepath.Join(dir, p.Name()))
		if err != nil {
			continue // a file beside the providers
		}
		for _, e := range entries {
			a := Agent{Root: root, Provider: p.Name(), Name: e.Name()}
			if info, err := os.Stat(a.Path()); err == nil && runnable(info) && !strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(e.Name(), "ocf-") {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, func(a, b Agent) int { return strings.Compare(a.String(), b.String()) })
	return all, nil
}

func runnable(info fs.FileInfo) bool { return info.Mode().IsRegular() && info.Mode()&0o111 != 0 }
