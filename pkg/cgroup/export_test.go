package cgroup

// KillFrozen kills as on a kernel that cannot kill a whole control group.
var KillFrozen = (*Cgroup).killFrozen
