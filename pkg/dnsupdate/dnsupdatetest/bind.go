package dnsupdatetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// BIND is a real name server (named of the package bind9), with its files in a directory of the test.
type BIND struct {
	// Address and port on which it answers.
	Address string
	// Prefix of the command, such as nsenter with its flags: it runs there.
	Prefix []string
	// Dial connects to it, as a client there does; nil: from here.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	dir string
	cmd *exec.Cmd
}

// NewBIND writes the files of a server that is the primary of the zones and takes updates that the key has signed, of A, AAAA, PTR and TXT only.
// Nothing runs before Start.
func NewBIND(t *testing.T, address, keyName, secret string, zones ...string) *BIND {
	t.Helper()
	// Packages with AppArmor let named write below /tmp no more than elsewhere; in the directory of a test it does as root.
	b := &BIND{Address: address, dir: t.TempDir()}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	fmt.Fprintf(&config, `options {
  directory %q; pid-file none; session-keyfile none; managed-keys-directory %q; lock-file none;
  listen-on port %[3]s { %[4]s; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; notify no; empty-zones-enable no;
  allow-query { any; };
};
controls { };
key %[5]q { algorithm hmac-sha256; secret %[6]q; };
`, b.dir, b.dir, port, host, keyName, secret)
	for _, zone := range zones {
		file := filepath.Join(b.dir, zone+".db")
		content := fmt.Sprintf("$ORIGIN %s.\n$TTL 60\n@ IN SOA ns admin 1 60 60 600 1\n@ IN NS ns\nns IN A %s\n", zone, host)
		if strings.HasSuffix(zone, ".arpa") {
			content = fmt.Sprintf("$ORIGIN %s.\n$TTL 60\n@ IN SOA ns.invalid. admin.invalid. 1 60 60 600 1\n@ IN NS ns.invalid.\n", zone)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&config, "zone %q { type primary; file %q; update-policy { grant %q zonesub A AAAA PTR TXT; }; };\n", zone, file, keyName)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "named.conf"), []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

// Start runs the server and returns when it answers.
func (b *BIND) Start(t *testing.T) {
	t.Helper()
	log, err := os.Create(filepath.Join(b.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	// It does not long outlive a test that is killed. The end of this process cannot be left to the kernel: that looks at the thread that starts it.
	argv := append(append([]string{}, b.Prefix...), "timeout", "--signal=KILL", "300", "/usr/sbin/named", "-g", "-n", "1", "-c", filepath.Join(b.dir, "named.conf"))
	b.cmd = exec.CommandContext(context.Background(), argv[0], argv[1:]...) // Stop ends it
	b.cmd.Stdout, b.cmd.Stderr = log, log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		t.Fatalf("starting named (package bind9): %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if raw, _ := os.ReadFile(log.Name()); strings.Contains(string(raw), " running\n") {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("named does not run:\n%s", raw)
		}
	}
}

// Stop ends the server at once.
func (b *BIND) Stop() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Signal(syscall.SIGTERM) // timeout kills it, as it was told to, and waits for its end
	_ = b.cmd.Wait()
	b.cmd = nil
}

// Log is what it has said.
func (b *BIND) Log() string {
	raw, _ := os.ReadFile(filepath.Join(b.dir, "log"))
	return string(raw)
}

// Values is Ask for a server that must answer.
func (b *BIND) Values(t *testing.T, name string, rrtype uint16) []string {
	t.Helper()
	values, err := b.Ask(name, rrtype)
	if err != nil {
		t.Fatalf("asking named: %v", err)
	}
	return values
}

// Ask returns the values of a name's records that the server gives to any client; nil when there are none.
func (b *BIND) Ask(name string, rrtype uint16) ([]string, error) {
	msg := new(dns.Msg)
	msg.SetQuestion(dns.CanonicalName(name), rrtype)
	dial := b.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := dial(ctx, "udp", b.Address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	answer, _, err := (&dns.Client{Timeout: 2 * time.Second}).ExchangeWithConn(msg, &dns.Conn{Conn: conn})
	if err != nil {
		return nil, err
	}
	var values []string
	for _, r := range answer.Answer {
		values = append(values, strings.TrimPrefix(r.String(), r.Header().String()))
	}
	return values, nil
}
