package lease

import (
	"errors"
	"strings"
	"testing"

	"github.com/quorate/quorate/pkg/witness"
)

const goodKubeconfig = `apiVersion: v1
kind: Config
current-context: there
clusters:
- name: other
  cluster: {server: "https://192.0.2.1:6443"}
users:
- name: me
  user: {token: secret}
contexts:
- name: there
  context: {cluster: other, user: me}
`

func TestKubeconfig(t *testing.T) {
	if _, err := parseKubeconfig([]byte(goodKubeconfig)); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	cases := map[string]struct{ old, spoiled, text string }{
		"no YAML":             {"apiVersion: v1", "\x00", "kubeconfig"},
		"no context":          {"current-context: there", "current-context: elsewhere", "elsewhere"},
		"no cluster":          {"cluster: other", "cluster: gone", "gone"},
		"runs a program":      {"token: secret", `exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, interactiveMode: Never}`, "program"},
		"reads a token file":  {"token: secret", "tokenFile: /etc/shadow", "tokenFile"},
		"reads a key":         {"token: secret", "client-key: /etc/key", "client-key"},
		"reads a certificate": {"token: secret", "client-certificate: /etc/crt", "client-certificate"},
		"reads an authority":  {`6443"`, `6443", certificate-authority: /etc/ca`, "certificate-authority-data"},
		"trusts anybody":      {`6443"`, `6443", insecure-skip-tls-verify: true`, "anybody"},
		"in the clear":        {"https://", "http://", "https"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseKubeconfig([]byte(strings.Replace(goodKubeconfig, tc.old, tc.spoiled, 1)))
			if !errors.Is(err, witness.ErrRefused) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %v that says %q", err, witness.ErrRefused, tc.text)
			}
		})
	}
}

// FuzzKubeconfig: whatever a Secret holds, no program is run and no file is read because of it.
func FuzzKubeconfig(f *testing.F) {
	f.Add([]byte(goodKubeconfig))
	f.Add([]byte(strings.Replace(goodKubeconfig, "token: secret", `exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}`, 1)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseKubeconfig(raw)
		if err != nil {
			return
		}
		if c.ExecProvider != nil || c.AuthProvider != nil || c.BearerTokenFile != "" || c.CertFile != "" || c.KeyFile != "" || c.CAFile != "" ||
			c.Insecure {
			t.Errorf("accepted: %v", c)
		}
	})
}
