package systemd

import (
	"slices"
	"time"
)

// Unit is what systemd says of a unit (org.freedesktop.systemd1(5)). Fields that are about services alone are empty for other units.
type Unit struct {
	// Name is the unit's own name, which differs from the one that was asked for when that is an alias.
	Name string
	// Load is loaded, not-found, masked, bad-setting or error; LoadError says why it is not loaded.
	Load, LoadError string
	// File is the state of the unit's file: enabled, disabled, static, generated and so on, as of systemctl is-enabled.
	File string
	State
	// StatusText is what a service says of itself (sd_notify(3)).
	StatusText string
	// Result is how a service ended: success, exit-code, signal, timeout and so on; MainStatus is its exit status or signal.
	Result     string
	MainStatus int32
	// Condition is false when a condition of the unit kept its last start from doing anything; Judged is false when systemd knows of no start,
	// as of a unit that it has forgotten since.
	Condition, Judged bool

	// Type of a service, such as simple or oneshot; Restart is when systemd itself starts it again.
	Type, Restart string
	Environment   []string
	// Slice in which a service's control group is made; ControlGroup is that group below the root of the hierarchy, empty when there is none.
	Slice, ControlGroup string
	DropIns             []string
	// Stale says that files of the unit have changed since systemd read them.
	Stale bool
	// StartTimeout and StopTimeout are how long systemd lets a start or a stop take; 0 is without end.
	StartTimeout, StopTimeout time.Duration
	// StartedBy are the units that want this one to run when they do, and those that trigger it (sockets, timers, paths).
	StartedBy []string
}

// State is the part of a unit that changes as it runs.
type State struct {
	// Active is active, reloading, inactive, failed, activating or deactivating; Sub is the same in more detail.
	Active, Sub string
	// Job is the number of what is asked of the unit and not done yet; 0 is nothing.
	Job uint32
}

// Runs reports that the unit is neither stopped nor failed.
func (s State) Runs() bool { return s.Active != "inactive" && s.Active != "failed" }

// unitOf reads the properties of a unit. One that is missing, or of another type than documented, counts as empty.
func unitOf(p map[string]any) *Unit {
	u := &Unit{
		Name: read[string](p, "Id"), Load: read[string](p, "LoadState"), File: read[string](p, "UnitFileState"),
		State:      State{Active: read[string](p, "ActiveState"), Sub: read[string](p, "SubState"), Job: job(p["Job"])},
		StatusText: read[string](p, "StatusText"), Result: read[string](p, "Result"), MainStatus: read[int32](p, "ExecMainStatus"),
		Condition: read[bool](p, "ConditionResult"), Judged: read[uint64](p, "ConditionTimestamp") > 0, Type: read[string](p, "Type"), Restart: read[string](p, "Restart"),
		Environment: read[[]string](p, "Environment"), Slice: read[string](p, "Slice"), ControlGroup: read[string](p, "ControlGroup"),
		DropIns: read[[]string](p, "DropInPaths"), Stale: read[bool](p, "NeedDaemonReload"),
		StartTimeout: timeout(p, "TimeoutStartUSec"), StopTimeout: timeout(p, "TimeoutStopUSec"),
	}
	if loadError := read[[]any](p, "LoadError"); len(loadError) > 1 {
		u.LoadError, _ = loadError[1].(string)
	}
	for _, from := range []string{"WantedBy", "RequiredBy", "BoundBy", "UpheldBy", "TriggeredBy"} {
		u.StartedBy = append(u.StartedBy, read[[]string](p, from)...)
	}
	slices.Sort(u.StartedBy)
	u.StartedBy = slices.Compact(u.StartedBy)
	return u
}

func read[T any](p map[string]any, name string) T {
	v, _ := p[name].(T)
	return v
}

// job reads the number of a unit's job: a structure of that and an object path.
func job(v any) uint32 {
	both, _ := v.([]any)
	if len(both) == 0 {
		return 0
	}
	id, _ := both[0].(uint32)
	return id
}

// timeout reads a time in microseconds, of which the largest is without end.
func timeout(p map[string]any, name string) time.Duration {
	us := read[uint64](p, name)
	if us > uint64(time.Duration(1<<63-1)/time.Microsecond) {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}
