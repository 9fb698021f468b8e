package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// system are the directories of the machine that every host sees read-only. Links, as /bin is on most machines, become links.
var system = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"}

// loopNodes is how many loop devices have a node. They are made ahead because a host's /dev does not follow the kernel's.
const loopNodes = 256

// buildRoot makes the host's file system on spec.Staging and makes it this process's root.
func buildRoot(spec *Spec) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	root := spec.Staging
	if err := mount("tmpfs", root, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	steps := []func(string, *Spec) error{bindSystem, makeDirectories, mountKernel, makeDevices, bindOwn, writeIdentity}
	for _, step := range steps {
		if err := step(root, spec); err != nil {
			return err
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the machine's root: %w", err)
	}
	return os.Chdir("/")
}

func mount(source, target, fsType string, flags uintptr, data string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, fsType, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", fsType, target, err)
	}
	return nil
}

func bindSystem(root string, _ *Spec) error {
	for _, dir := range system {
		info, err := os.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(dir)
			if err == nil {
				err = os.Symlink(target, filepath.Join(root, dir))
			}
			if err != nil {
				return err
			}
			continue
		}
		if err := bind(root, Bind{Source: dir, Target: dir, ReadOnly: true}); err != nil {
			return err
		}
	}
	return nil
}

func makeDirectories(root string, _ *Spec) error {
	for _, dir := range []string{"/var/tmp", "/var/log", "/var/lib", "/root", "/srv/quorate", "/mnt", "/opt"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/run", "/tmp"} {
		mode := "mode=755"
		if dir == "/tmp" {
			mode = "mode=1777"
		}
		if err := mount("tmpfs", filepath.Join(root, dir), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, mode); err != nil {
			return err
		}
	}
	if err := os.Symlink("/run", filepath.Join(root, "/var/run")); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(root, "/run/lock"), 0o755)
}

func mountKernel(root string, spec *Spec) error {
	if err := mount("proc", filepath.Join(root, "/proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err := mount("sysfs", filepath.Join(root, "/sys"), "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	// A simulated host must never reset the machine.
	if _, err := os.Stat(filepath.Join(root, "/proc/sysrq-trigger")); err == nil {
		if err := bind(root, Bind{Source: os.DevNull, Target: "/proc/sysrq-trigger"}); err != nil {
			return err
		}
	}
	return bind(root, Bind{Source: spec.CgroupDir, Target: "/sys/fs/cgroup"})
}

func makeDevices(root string, _ *Spec) error {
	dev := filepath.Join(root, "/dev")
	if err := mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dev, "net"), 0o755); err != nil {
		return err
	}
	nodes := []struct {
		name         string
		kind         uint32
		major, minor uint32
		mode         uint32
	}{
		{"null", unix.S_IFCHR, 1, 3, 0o666}, {"zero", unix.S_IFCHR, 1, 5, 0o666}, {"full", unix.S_IFCHR, 1, 7, 0o666},
		{"random", unix.S_IFCHR, 1, 8, 0o666}, {"urandom", unix.S_IFCHR, 1, 9, 0o666}, {"kmsg", unix.S_IFCHR, 1, 11, 0o644},
		{"tty", unix.S_IFCHR, 5, 0, 0o666}, {"fuse", unix.S_IFCHR, 10, 229, 0o666}, {"loop-control", unix.S_IFCHR, 10, 237, 0o660},
		{"net/tun", unix.S_IFCHR, 10, 200, 0o666},
	}
	for _, n := range nodes {
		if err := makeNode(filepath.Join(dev, n.name), n.kind|n.mode, n.major, n.minor); err != nil {
			return err
		}
	}
	for n := range uint32(loopNodes) {
		if err := makeNode(filepath.Join(dev, fmt.Sprintf("loop%d", n)), unix.S_IFBLK|0o660, 7, n); err != nil {
			return err
		}
	}
	if err := mount("devpts", filepath.Join(dev, "pts"), "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"); err != nil {
		return err
	}
	if err := mount("tmpfs", filepath.Join(dev, "shm"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return err
	}
	links := map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return nil
}

func makeNode(path string, mode, major, minor uint32) error {
	if err := unix.Mknod(path, mode, int(unix.Mkdev(major, minor))); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return unix.Chmod(path, mode&0o777) // whatever the umask is
}

func bindOwn(root string, spec *Spec) error {
	for _, b := range spec.Binds {
		if err := bind(root, b); err != nil {
			return err
		}
	}
	return nil
}

// bind makes b.Source visible at b.Target below root.
func bind(root string, b Bind) error {
	target := filepath.Join(root, b.Target)
	info, err := os.Stat(b.Source)
	if err != nil {
		return fmt.Errorf("bind %s: %w", b.Target, err)
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if _, err = os.Stat(target); err != nil {
		err = os.MkdirAll(filepath.Dir(target), 0o755)
		if err == nil {
			err = os.WriteFile(target, nil, 0o644)
		}
	}
	if err != nil {
		return fmt.Errorf("bind %s: %w", b.Target, err)
	}
	if err := unix.Mount(b.Source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s on %s: %w", b.Source, b.Target, err)
	}
	if !b.ReadOnly {
		return nil
	}
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", b.Target, err)
	}
	return nil
}

// writeIdentity gives the host its name, its boot id and its /etc/hosts. Files that exist on the machine are covered by binds.
func writeIdentity(root string, spec *Spec) error {
	if err := unix.Sethostname([]byte(spec.Name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	files := map[string]string{
		"/proc/sys/kernel/random/boot_id": spec.BootID + "\n",
		"/etc/hosts":                      spec.HostsFile,
		"/etc/hostname":                   spec.Name + "\n",
		"/etc/machine-id":                 "",
	}
	for target, content := range files {
		if _, err := os.Stat(filepath.Join(root, target)); err != nil {
			continue
		}
		source := filepath.Join(root, "/run", ".lab-"+filepath.Base(target))
		if err := os.WriteFile(source, []byte(content), 0o444); err != nil {
			return err
		}
		if err := bind(root, Bind{Source: source, Target: target}); err != nil {
			return err
		}
	}
	return nil
}
