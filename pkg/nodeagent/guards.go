package nodeagent

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/monitor"
	"github.com/quorate/quorate/pkg/watchdog"
)

// guards is what stops this host when its agent does not, as status.agent.guards tells it.
type guards struct {
	changed func()

	mu    sync.Mutex
	value v1alpha1.AgentGuards
}

func (g *guards) set(change func(*v1alpha1.AgentGuards)) {
	g.mu.Lock()
	before := g.value
	change(&g.value)
	same := reflect.DeepEqual(before, g.value)
	g.mu.Unlock()
	if !same {
		g.changed()
	}
}

func (g *guards) get() v1alpha1.AgentGuards {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.value
}

// Stuck returns what the agent and its guardian do when something is left past its deadline: reset the host (rules O10, O17). An
// operator who wants to look at such a host instead starts the agent without a trigger.
func Stuck(resetter watchdog.Resetter, log logr.Logger) func([]monitor.Leftover) {
	return func(left []monitor.Leftover) {
		names := make([]string, 0, len(left))
		for _, l := range left {
			names = append(names, fmt.Sprintf("%s %s (%s)", l.Type, l.Resource, l.Message))
		}
		what := strings.Join(names, ", ")
		log.Info("Something could not be stopped by its deadline: this host is reset", "left", what)
		if err := resetter.Reset("these do not stop by their deadline: " + what); err != nil {
			log.Error(err, "The host is not reset; nothing of it may be trusted")
		}
	}
}
