package apiservers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const kubeconfig = `apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: here, context: {cluster: lab, user: me}}
- {name: there, context: {cluster: other, user: me}}
users:
- {name: me, user: {token: secret}}
clusters:
- {name: lab, cluster: {server: "https://10.0.0.1:6443", insecure-skip-tls-verify: true}}
- {name: lab/3, cluster: {server: "https://10.0.0.3:6443", insecure-skip-tls-verify: true}}
- {name: lab/2, cluster: {server: "https://10.0.0.2:6443", insecure-skip-tls-verify: true}}
- {name: labor, cluster: {server: "https://10.0.0.9:6443", insecure-skip-tls-verify: true}}
- {name: other, cluster: {server: "https://10.0.1.1:6443", insecure-skip-tls-verify: true}}
`

func load(t *testing.T, content string, more ...string) (*Servers, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path, more)
}

func TestServersOfAKubeconfig(t *testing.T) {
	s, err := load(t, kubeconfig, "https://10.0.0.4:6443")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(s.Hosts(), " "), "10.0.0.1:6443 10.0.0.2:6443 10.0.0.3:6443 10.0.0.4:6443"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if c := s.Config(); c.BearerToken != "secret" || c.Host != "https://10.0.0.1:6443" {
		t.Errorf("%+v", c)
	}
	s, err = load(t, strings.Replace(kubeconfig, "current-context: here", "current-context: there", 1))
	if err != nil || len(s.Hosts()) != 1 {
		t.Errorf("%v, %v", s, err)
	}
}

func TestKubeconfigWithMistakes(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"another authority": {`"https://10.0.0.2:6443", insecure-skip-tls-verify: true`, `"https://10.0.0.2:6443", certificate-authority-data: aGVsbG8=`, `"lab/2" is another server of "lab" by its name`},
		"no server":         {`server: "https://10.0.0.2:6443", `, ``, `"lab/2" has no server`},
		"no URL":            {`https://10.0.0.2:6443`, `10.0.0.2`, "no URL like"},
		"a plugin":          {`token: secret`, `exec: {apiVersion: client.authentication.k8s.io/v1, command: "true", interactiveMode: Never}`, "credential plugin"},
	} {
		if _, err := load(t, strings.Replace(kubeconfig, c.from, c.to, 1)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Error("a file that is not there")
	}
}
