package genericapplication

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestBadPrograms: a real program that cannot serve ends in an error with its reason and what to do, at its start or soon after it, and the resource
// leaves nothing.
func TestBadPrograms(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	must(t, err)
	server := func(more string) string {
		return fmt.Sprintf(`{"command":[%q],"env":[{"name":%q,"value":%q}]%s}`, self, roleServer, port, more)
	}
	for name, tc := range map[string]struct{ parameters, want string }{
		"port in use":              {server(""), "address already in use"},
		"port in use, with a look": {server(`,"health":{"looksAlive":{"http":{"port":` + port + `}}}`), "address already in use"},
		"somebody else answers":    {server(`,"health":{"looksAlive":{"tcp":{"port":` + port + `}}}`), "address already in use"},
		"forks away":               {shell(`setsid sleep 1000 & exit 0`), "left 1 processes behind: a Daemon stays in the foreground"},
		"forks away later":         {shell(`sleep 0.1; setsid sh -c "trap '' TERM; sleep 1000; true" & sleep 0.1; exit 0`), "behind: a Daemon stays in the foreground"},
		"no such program":          {`{"command":["/no/such/program"]}`, "install it, or the interpreter"},
		"no such directory":        {`{"command":["/bin/sleep","1000"],"workingDir":"/no/such/dir"}`, "/no/such/dir"},
	} {
		t.Run(name, func(t *testing.T) {
			app, inst := New(), instance(t, tc.parameters)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			began := time.Now()
			err := app.Online(ctx, inst)
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("the end of the process was seen after %s", took)
			}
			if err == nil {
				failed, watching := app.Watch(ctx, inst)
				must(t, watching)
				err = <-failed
				must(t, app.Terminate(ctx, inst))
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the reason is %v, want %q in it", err, tc.want)
			}
			noCgroup(t, inst)
		})
	}
}
