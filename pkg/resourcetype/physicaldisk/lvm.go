package physicaldisk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/quorate/quorate/pkg/blockdev"
	"github.com/quorate/quorate/pkg/bounded"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// volume is a logical volume.
type volume struct {
	Group string `json:"group"`
	Name  string `json:"name"`
	// Parts are the physical volumes of the group, on this host.
	Parts []string `json:"parts"`
}

func (v volume) String() string { return v.Group + "/" + v.Name }

// device is the node that the device mapper makes, where a hyphen within a name is written twice.
func (v volume) device() string {
	double := func(s string) string { return strings.ReplaceAll(s, "-", "--") }
	return filepath.Join("/dev/mapper", double(v.Group)+"-"+double(v.Name))
}

// ownerPrefix begins the system ids under which agents own volume groups. It is no host's own system id, so no host activates such a
// group by itself, at boot or otherwise: only the agent does, which names the id in each command.
const ownerPrefix = "quorate-"

// owner is the system id of this node for volume groups of its cluster.
func owner(inst *resourcetype.Instance) string {
	return fmt.Sprintf("%s%s-%d", ownerPrefix, inst.ClusterID, inst.Node)
}

// lvm runs the LVM tools.
type lvm struct {
	run func(ctx context.Context, name string, args ...string) ([]byte, error)
}

// toolLimit is how long an LVM command may take.
const toolLimit = time.Minute

// runTool runs a tool and returns its standard output. One that hangs on a disk is left behind.
func runTool(ctx context.Context, name string, args ...string) ([]byte, error) {
	return bounded.Do(ctx, name, toolLimit, func() ([]byte, error) {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = append(os.Environ(), "LC_ALL=C", "LVM_SUPPRESS_FD_WARNINGS=1")
		if _, err := os.Stat("/run/udev/control"); err != nil {
			cmd.Env = append(cmd.Env, "DM_DISABLE_UDEV=1") // nobody else makes the nodes
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
		}
		return out, nil
	})
}

// part is what LVM reports of a physical volume.
type part struct {
	Device string `json:"pv_name"`
	Group  string `json:"vg_name"`
	// Owner is the system id that owns the group, empty for none.
	Owner   string `json:"vg_systemid"`
	Count   string `json:"pv_count"`
	Missing string `json:"pv_missing"`
}

// parseParts reads the report of pvs.
func parseParts(raw []byte) ([]part, error) {
	var reply struct {
		Report []struct {
			PV []part `json:"pv"`
		} `json:"report"`
	}
	if err := json.Unmarshal(raw, &reply); err != nil {
		return nil, fmt.Errorf("reading the report of lvm pvs: %w", err)
	}
	var all []part
	for _, r := range reply.Report {
		all = append(all, r.PV...)
	}
	return all, nil
}

func (l lvm) parts(ctx context.Context, group string, options ...string) ([]part, error) {
	args := append([]string{
		"pvs", "--reportformat", "json", "--foreign", "-o", "pv_name,vg_name,vg_systemid,pv_count,pv_missing", "-S", "vg_name=" + group,
	}, options...)
	raw, err := l.run(ctx, "lvm", args...)
	if err != nil {
		return nil, err
	}
	return parseParts(raw)
}

// physicalVolumes returns the devices of a volume group, of which device must be one. Where the group is on one device nothing else
// is looked at, so that other disks cannot get in the way.
func (l lvm) physicalVolumes(ctx context.Context, group, device string) ([]string, error) {
	found, err := l.parts(ctx, group, "--devices", device)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("volume group %s is not on %s: name one of its physical volumes as the device", group, device)
	}
	if len(found) == 1 && found[0].Count == "1" {
		return []string{device}, nil
	}
	if found, err = l.parts(ctx, group); err != nil {
		return nil, err
	}
	list := make([]string, 0, len(found))
	for _, p := range found {
		if p.Missing != "" || !filepath.IsAbs(p.Device) {
			return nil, fmt.Errorf("%w: a physical volume of %s cannot be seen: every one must be reserved", blockdev.ErrMissing, group)
		}
		list = append(list, p.Device)
	}
	return list, nil
}

// config makes this command one of the owner's; from is an earlier owner from whom the group is taken.
func config(owner, from string) string {
	extra := ""
	if from != "" {
		extra = fmt.Sprintf("%q", from)
	}
	return fmt.Sprintf(`global { system_id_source="lvmlocal" } local { system_id=%q extra_system_ids=[%s] }`, owner, extra)
}

func (v volume) devices() []string { return []string{"--devices", strings.Join(v.Parts, ",")} }

// activate takes the volume group for the owner, and activates the volume. The disks are reserved, so no other host can write the
// group's metadata.
func (l lvm) activate(ctx context.Context, v volume, owner string) error {
	found, err := l.parts(ctx, v.Group, v.devices()...)
	if err != nil {
		return err
	}
	if len(found) != len(v.Parts) {
		return fmt.Errorf("volume group %s has %d physical volumes here, it had %d", v.Group, len(found), len(v.Parts))
	}
	from := found[0].Owner
	switch {
	case from == owner:
	case from == "" || strings.HasPrefix(from, owner[:strings.LastIndexByte(owner, '-')+1]):
		args := append([]string{"vgchange", "--yes", "--config", config(owner, from), "--systemid", owner}, v.devices()...)
		if _, err := l.run(ctx, "lvm", append(args, v.Group)...); err != nil {
			return err
		}
	default:
		return fmt.Errorf("volume group %s belongs to the host with the LVM system id %q: give it up there (vgchange --systemid \"\" %s)", v.Group, from, v.Group)
	}
	args := append([]string{"lvchange", "--yes", "--config", config(owner, ""), "--activate", "y"}, v.devices()...)
	_, err = l.run(ctx, "lvm", append(args, v.String())...)
	return err
}

// deactivate needs no right to the disk: it writes nothing. The device mapper's own tool helps where LVM cannot read the disk.
func (l lvm) deactivate(ctx context.Context, v volume) error {
	found, err := l.parts(ctx, v.Group, v.devices()...)
	if err == nil && len(found) > 0 {
		args := append([]string{"lvchange", "--yes", "--config", config(found[0].Owner, ""), "--activate", "n"}, v.devices()...)
		if _, err = l.run(ctx, "lvm", append(args, v.String())...); err == nil {
			return nil
		}
	}
	if _, dmErr := l.run(ctx, "dmsetup", "remove", "--retry", v.device()); dmErr != nil {
		return fmt.Errorf("deactivating %s: %w", v, errorOr(err, dmErr))
	}
	return nil
}

func errorOr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
