package physicaldisk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/pkg/blockdev"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// tools answers LVM's commands, and remembers them.
type tools struct {
	report string
	fail   string
	calls  []string
}

func (s *tools) run(_ context.Context, name string, args ...string) ([]byte, error) {
	call := name + " " + strings.Join(args, " ")
	s.calls = append(s.calls, call)
	if s.fail != "" && strings.Contains(call, s.fail) {
		return nil, errors.New(s.fail + " failed")
	}
	return []byte(s.report), nil
}

func reportOf(owner string, devices ...string) string {
	var parts []string
	for _, d := range devices {
		parts = append(parts, fmt.Sprintf(`{"pv_name":%q,"vg_name":"vg","vg_systemid":%q,"pv_count":"%d","pv_missing":""}`, d, owner, len(devices)))
	}
	return `{"report":[{"pv":[` + strings.Join(parts, ",") + `]}]}`
}

func TestPhysicalVolumes(t *testing.T) {
	for name, tc := range map[string]struct {
		report string
		want   []string
		err    string
	}{
		"one":      {report: reportOf("", "/dev/sda"), want: []string{"/dev/sda"}},
		"two":      {report: reportOf("", "/dev/sda", "/dev/sdb"), want: []string{"/dev/sda", "/dev/sdb"}},
		"none":     {report: `{"report":[{"pv":[]}]}`, err: "is not on /dev/sda"},
		"missing":  {report: strings.Replace(reportOf("", "/dev/sda", "[unknown]"), `"pv_missing":""`, `"pv_missing":"missing"`, 1), err: "cannot be seen"},
		"no json":  {report: "WARNING", err: "reading the report"},
		"no paths": {report: reportOf("", "/dev/sda", "[unknown]"), err: "cannot be seen"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (lvm{run: (&tools{report: tc.report}).run}).physicalVolumes(t.Context(), "vg", "/dev/sda")
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("physicalVolumes() = %v, %v, want %q", got, err, tc.err)
				}
				return
			}
			must(t, err)
			if !slices.Equal(got, tc.want) {
				t.Errorf("physicalVolumes() = %v, want %v", got, tc.want)
			}
		})
	}
	missing := &tools{report: reportOf("", "/dev/sda", "[unknown]")}
	if _, err := (lvm{run: missing.run}).physicalVolumes(t.Context(), "vg", "/dev/sda"); !errors.Is(err, blockdev.ErrMissing) {
		t.Errorf("a physical volume that is missing = %v, want that the disk is not visible", err)
	}
}

// TestActivate takes a volume group from another node of the cluster, and from nobody else.
func TestActivate(t *testing.T) {
	me := owner(&resourcetype.Instance{ClusterID: "abcdef0123456789", Node: 2})
	v := volume{Group: "my-vg", Name: "data", Parts: []string{"/dev/sda"}}
	for name, tc := range map[string]struct {
		from  string
		taken bool
		err   string
	}{
		"mine":            {from: me},
		"nobody's":        {from: "", taken: true},
		"another node's":  {from: "quorate-abcdef0123456789-1", taken: true},
		"another cluster": {from: "quorate-ffffff0123456789-1", err: "belongs to the host"},
		"a host's":        {from: "server7", err: `vgchange --systemid "" my-vg`},
	} {
		t.Run(name, func(t *testing.T) {
			s := &tools{report: reportOf(tc.from, "/dev/sda")}
			err := (lvm{run: s.run}).activate(t.Context(), v, me)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || len(s.calls) != 1 {
					t.Errorf("activate() = %v after %v", err, s.calls)
				}
				return
			}
			must(t, err)
			last := s.calls[len(s.calls)-1]
			if took := len(s.calls) == 3; took != tc.taken || !strings.Contains(last, "--activate y --devices /dev/sda my-vg/data") || !strings.Contains(last, `system_id="`+me+`"`) {
				t.Errorf("commands:\n%s", strings.Join(s.calls, "\n"))
			}
			if tc.taken && !strings.Contains(s.calls[1], "--systemid "+me) {
				t.Errorf("the group is not taken by %s", s.calls[1])
			}
		})
	}
	if got := v.device(); got != "/dev/mapper/my--vg-data" {
		t.Errorf("device() = %s", got)
	}
	other := &tools{report: reportOf("", "/dev/sda", "/dev/sdb")}
	if err := (lvm{run: other.run}).activate(t.Context(), v, me); err == nil || !strings.Contains(err.Error(), "has 2 physical volumes here") {
		t.Errorf("activate() of a group that has grown = %v, want that it is refused: the new disk is not reserved", err)
	}
}

// TestDeactivate works without LVM where the disk cannot be read.
func TestDeactivate(t *testing.T) {
	v := volume{Group: "vg", Name: "data", Parts: []string{"/dev/sda"}}
	s := &tools{report: reportOf("x", "/dev/sda")}
	must(t, lvm{run: s.run}.deactivate(t.Context(), v))
	if got := s.calls[len(s.calls)-1]; !strings.Contains(got, "lvchange") || !strings.Contains(got, "--activate n") {
		t.Errorf("commands %v", s.calls)
	}
	s = &tools{fail: "pvs"}
	must(t, lvm{run: s.run}.deactivate(t.Context(), v))
	if got := s.calls[len(s.calls)-1]; got != "dmsetup remove --retry /dev/mapper/vg-data" {
		t.Errorf("commands %v", s.calls)
	}
	s = &tools{report: reportOf("x", "/dev/sda"), fail: "e"} // lvchange and dmsetup remove
	if err := (lvm{run: s.run}).deactivate(t.Context(), v); err == nil || !strings.Contains(err.Error(), "vg/data") {
		t.Errorf("deactivate() = %v", err)
	}
}

func FuzzParseParts(f *testing.F) {
	f.Add([]byte(reportOf("", "/dev/sda")))
	f.Add([]byte(`{"report":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if list, err := parseParts(raw); err != nil && list != nil {
			t.Errorf("parseParts() = %v, %v", list, err)
		}
	})
}
