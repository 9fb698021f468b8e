package pacemaker

import (
	"strings"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
)

// operations carries over what a primitive's operations say about intervals, timeouts and failures.
func (im *importer) operations(p *primitive, r *v1alpha1.Resource) {
	watchesItself := r.Spec.Type == v1alpha1.TypeIPAddress || r.Spec.Type == v1alpha1.TypePhysicalDisk
	var pending time.Duration
	for _, op := range p.operations {
		name := op.attrs["name"]
		im.onFail(p, op, r)
		attrs := im.c.sets(op, "instance_attributes").under(im.c.sets(op, "meta_attributes"))
		interval, _ := parseDuration(cmpOr(op.attrs["interval"], "0"))
		timeout, hasTimeout := parseDuration(cmpOr(op.attrs["timeout"], im.c.opDefaults.value("timeout")))
		switch {
		case watchesItself || !truth(cmpOr(op.attrs["enabled"], attrs.value("enabled")), true):
		case name == "monitor" && interval >= 10*time.Millisecond:
			checks(r, interval, cmpOr(attrs.value("OCF_CHECK_LEVEL"), "0") != "0")
		case (name == "start" || name == "stop") && hasTimeout:
			pending = max(pending, timeout)
		}
	}
	if pending > 0 {
		r.Spec.PendingTimeout = seconds(pending)
	}
}

// checks sets the interval of the quick or of the thorough check; the first of each counts.
func checks(r *v1alpha1.Resource, interval time.Duration, thorough bool) {
	field := &r.Spec.LooksAliveInterval
	if thorough {
		field = &r.Spec.IsAliveInterval
	}
	if *field == nil {
		*field = seconds(interval)
	}
}

// onFail carries over what is to happen when an operation fails.
func (im *importer) onFail(p *primitive, op *element, r *v1alpha1.Resource) {
	policy := strings.ToLower(op.attrs["on-fail"])
	switch {
	case policy == "" || policy == "restart" || policy == "fence" && op.attrs["name"] == "stop":
	case policy == "block" && op.attrs["name"] == "stop":
		im.report.add(Changed, op, "", "on-fail=block for the stop of %s: a host that cannot stop a resource fences itself", p.id)
	case op.attrs["name"] == "monitor" && (policy == "block" || policy == "stop"):
		r.Spec.Restart.Policy = v1alpha1.RestartNever
	default:
		im.report.add(NotImported, op, "", "on-fail=%s for %s of %s: a failure is answered by restart and failover", policy, op.attrs["name"], p.id)
	}
}
