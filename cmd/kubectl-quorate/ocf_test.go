package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testAgent = `#!/bin/sh
cat <<'END'
<?xml version="1.0"?><resource-agent name="licence"><shortdesc>A licence server</shortdesc><longdesc lang="en">Counts seats.</longdesc>
<parameters><parameter name="port" required="1" unique="1"><shortdesc>TCP port</shortdesc><content type="integer" default="27000"/></parameter></parameters>
<actions><action name="start" timeout="20s"/><action name="monitor" timeout="10" interval="30s"/></actions></resource-agent>
END
`

// TestOCF lists and describes agents of a directory, and says what is wrong otherwise.
func TestOCF(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "resource.d", "acme")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"licence": testAgent, "broken": "#!/bin/sh\necho nonsense\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		args []string
		want []string
		fail bool
	}{
		"list":            {args: []string{"list"}, want: []string{"acme/licence  A licence server", "acme/broken   cannot be used: "}},
		"list as json":    {args: []string{"list", "-o", "json"}, want: []string{`"agent": "acme/licence"`}},
		"other provider":  {args: []string{"list", "heartbeat"}, want: []string{"has no OCF agents here"}, fail: true},
		"describe":        {args: []string{"describe", "acme/licence"}, want: []string{"Counts seats.", `port (integer, required, unique, default "27000")`, "timeout 10s, every 30s"}},
		"as in pacemaker": {args: []string{"describe", "ocf:acme:licence"}, want: []string{"A licence server"}},
		"a slip":          {args: []string{"describe", "acme/license"}, want: []string{"did you mean acme/licence?"}, fail: true},
		"no agent":        {args: []string{"describe", "licence"}, want: []string{"use PROVIDER/AGENT"}, fail: true},
		"bad format":      {args: []string{"list", "-o", "xml"}, want: []string{"flag --output"}, fail: true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			c := command("kubectl-quorate")
			c.SetOut(&out)
			c.SetErr(&out)
			c.SetArgs(append([]string{"ocf", "--root", root}, tc.args...))
			err := c.Execute()
			text := out.String()
			if err != nil {
				text += err.Error()
			}
			if (err != nil) != tc.fail {
				t.Errorf("error %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in:\n%s", want, text)
				}
			}
		})
	}
}
