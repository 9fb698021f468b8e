package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const cib = `<cib><configuration>
<nodes><node id="1" uname="alpha"/><node id="2" uname="beta"/><node id="3" uname="gamma"/></nodes>
<resources><primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2"><instance_attributes id="a"><nvpair id="b" name="ip" value="10.20.0.80"/></instance_attributes></primitive></resources>
</configuration></cib>`

// TestImport: manifests on standard output, the report on standard error; mistakes say what and where.
func TestImport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cib.xml")
	if err := os.WriteFile(file, []byte(cib), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.xml")
	if err := os.WriteFile(broken, []byte("<cib>\n<configuration>\n<nodes>\n</cib>"), 0o600); err != nil {
		t.Fatal(err)
	}
	given := []string{"--address", "alpha=10.20.0.11/24", "--address", "beta=10.20.0.12/24", "--address", "gamma=10.20.0.13/24"}
	cases := map[string]struct {
		args             []string
		out, err, absent string
		code             int
	}{
		"manifests":          {args: append([]string{file}, given...), out: "address: 10.20.0.80/24", err: "heartbeat-key", absent: "192.0.2."},
		"JSON":               {args: []string{file, "-o", "json"}, out: `"kind": "List"`, err: "192.0.2.1"},
		"the report alone":   {args: []string{file, "--report"}, out: "192.0.2.1", absent: "apiVersion"},
		"a report of JSON":   {args: []string{file, "--report", "-o", "json"}, out: `"severity": "Todo"`},
		"another name":       {args: []string{file, "--cluster", "prod", "-n", "shop"}, out: "namespace: shop"},
		"from the input":     {args: []string{"-"}, out: "kind: Cluster", err: "Todo"},
		"malformed XML":      {args: []string{broken}, err: broken + ": line 4: malformed XML: element <nodes> closed by </cib>", code: 2},
		"no such file":       {args: []string{"/no/such/file"}, err: "reading the CIB: open /no/such/file", code: 2},
		"no such format":     {args: []string{file, "-o", "xml"}, err: `"xml" is not one of yaml, json`, code: 2},
		"no such corosync":   {args: []string{file, "--corosync", "/no/such/file"}, err: "corosync", code: 2},
		"no address":         {args: []string{file, "--address", "alpha"}, err: `"alpha" is not NODE=ADDRESS/LENGTH`, code: 2},
		"no file":            {err: "accepts 1 arg", code: 2},
		"a wrong node's one": {args: []string{file, "--address", "delta=10.20.0.11/24"}, out: "kind: Cluster", err: `"delta", which the CIB does not have`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			c := command("quoratectl")
			c.SetArgs(append([]string{"import", "pacemaker"}, tc.args...))
			c.SetIn(strings.NewReader(cib))
			c.SetOut(&out)
			c.SetErr(&errs)
			err := c.ExecuteContext(t.Context())
			if err != nil {
				errs.WriteString(err.Error())
			}
			if got := exitCode(err); got != tc.code {
				t.Errorf("exit code %d, want %d: %v", got, tc.code, err)
			}
			if !strings.Contains(out.String(), tc.out) || !strings.Contains(errs.String(), tc.err) {
				t.Errorf("output %q\nerrors %q\nwant %q and %q", out.String(), errs.String(), tc.out, tc.err)
			}
			if tc.absent != "" && strings.Contains(out.String()+errs.String(), tc.absent) {
				t.Errorf("there is %q in %q, %q", tc.absent, out.String(), errs.String())
			}
		})
	}
}
