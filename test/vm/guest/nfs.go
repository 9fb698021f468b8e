package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// NFS is a file server in a network namespace of its own, reached over a cable.
type NFS struct {
	// Export is the folder that clients mount, as the server sees it. It lies in the root of what is served.
	Export string
	// Server is the server's address.
	Server string

	namespace string
}

// NewNFS starts a server (NFS 4.2) with an empty export. There is one at a time.
func NewNFS(t testing.TB) *NFS {
	t.Helper()
	Modprobe(t, "nfsd", "nfs", "nfsv4", "veth")
	n := numbers.Add(1)
	s := &NFS{
		Export: mkdir(t, fmt.Sprintf("/run/quorate-export%d/share", n)), Server: fmt.Sprintf("10.99.%d.1", n%250), namespace: fmt.Sprintf("nfs%d", n),
	}
	client := fmt.Sprintf("10.99.%d.2/24", n%250)
	takeDown(t, func() error {
		_, err := runAfter("ip", "netns", "delete", s.namespace)
		return err
	}, func() error { return os.RemoveAll(filepath.Dir(s.Export)) })
	Run(t, "ip", "netns", "add", s.namespace)
	Run(t, "ip", "link", "add", s.namespace, "type", "veth", "peer", "name", "eth0", "netns", s.namespace)
	Run(t, "ip", "address", "add", client, "dev", s.namespace)
	Run(t, "ip", "link", "set", s.namespace, "up")
	s.inside(t, "ip link set lo up; ip address add "+s.Server+"/24 dev eth0; ip link set eth0 up")
	// A file system in memory has no identity that lasts, so the export gets a number; 0 makes it the root of what is served.
	put(t, fmt.Sprintf("%s *(rw,sync,no_root_squash,no_subtree_check,fsid=0)\n", filepath.Dir(s.Export)), "/etc/exports")
	s.serve(t)
	return s
}

// serve starts the server's daemons. The control files belong to the network namespace in which they are mounted. Grace is the time
// in which a new server lets nobody open files but who had them open before; ten seconds is the shortest, and it is waited out here,
// since a client that is told to wait waits longer and longer.
func (s *NFS) serve(t testing.TB) {
	t.Helper()
	daemons := exec.Command("ip", "netns", "exec", s.namespace, "sh", "-c", `
		mount -t nfsd nfsd /proc/fs/nfsd && echo 10 >/proc/fs/nfsd/nfsv4leasetime && echo 10 >/proc/fs/nfsd/nfsv4gracetime &&
		exportfs -ra && rpc.nfsd -N 3 -V 4.2 2 && exec rpc.mountd -N 3 --foreground`)
	var said strings.Builder
	daemons.Stdout, daemons.Stderr = &said, &said
	daemons.WaitDelay = time.Second
	if err := daemons.Start(); err != nil {
		t.Fatal(err)
	}
	takeDown(t, func() error {
		_, err := runAfter("ip", "netns", "exec", s.namespace, "sh", "-c", "mount -t nfsd nfsd /proc/fs/nfsd && rpc.nfsd 0; pkill -x rpc.mountd; true")
		_ = daemons.Wait()
		if t.Failed() {
			t.Logf("the file server said: %s", said.String())
		}
		return err
	})
	s.waitForGrace(t)
}

func (s *NFS) waitForGrace(t testing.TB) {
	t.Helper()
	Eventually(t, "the file server's grace to end", func() bool {
		return strings.TrimSpace(s.inside(t, "mount -t nfsd nfsd /proc/fs/nfsd && cat /proc/fs/nfsd/v4_end_grace")) == "Y"
	})
}

func (s *NFS) inside(t testing.TB, script string) string {
	t.Helper()
	return Run(t, "ip", "netns", "exec", s.namespace, "sh", "-c", script)
}

// Mount mounts the export at a new place and returns it. Options are those of nfs(5), such as "soft,timeo=10,retrans=1".
func (s *NFS) Mount(t testing.TB, options string) string {
	t.Helper()
	at := mkdir(t, fmt.Sprintf("/mnt/nfs%d", numbers.Add(1)))
	takeDown(t, func() error {
		_, err := runAfter("umount", "-f", "-l", at)
		return err
	})
	Run(t, "mount", "-t", "nfs", "-o", strings.Trim("vers=4.2,"+options, ","), s.Server+":/share", at)
	return at
}

// Hang has the server say nothing any more, as a dead one; nobody is told. Resume undoes it.
func (s *NFS) Hang(t testing.TB) {
	t.Helper()
	s.inside(t, "nft add table inet hang && nft 'add chain inet hang in { type filter hook input priority 0; policy drop; }'")
}

// Resume lets a server that hangs answer again.
func (s *NFS) Resume(t testing.TB) {
	t.Helper()
	s.inside(t, "nft delete table inet hang")
}

// MakeStale replaces the export by an empty folder of the same name: the handles that a client has become stale, its mount's too.
func (s *NFS) MakeStale(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(s.Export); err != nil {
		t.Fatal(err)
	}
	mkdir(t, s.Export)
}

// Stop ends the server's service; clients get no answer. Start begins it anew, with a grace that is waited out.
func (s *NFS) Stop(t testing.TB) {
	t.Helper()
	s.inside(t, "mount -t nfsd nfsd /proc/fs/nfsd && rpc.nfsd 0")
}

// Start undoes Stop.
func (s *NFS) Start(t testing.TB) {
	t.Helper()
	s.inside(t, "mount -t nfsd nfsd /proc/fs/nfsd && rpc.nfsd -N 3 -V 4.2 2")
	s.waitForGrace(t)
}
