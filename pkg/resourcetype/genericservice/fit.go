package genericservice

import (
	"context"
	"fmt"
	"strings"

	"github.com/quorate/quorate/pkg/resourcetype"
	"github.com/quorate/quorate/pkg/systemd"
)

// ReasonUnitUnfit is the reason of problems with a unit that is there and cannot be the cluster's.
const ReasonUnitUnfit = "UnitUnfit"

// unfitError says why a unit cannot be run by the cluster, and what to do about it.
type unfitError struct{ reason, message string }

func (e *unfitError) Error() string { return e.message }

func unfit(reason, format string, args ...any) error {
	return &unfitError{reason, fmt.Sprintf(format, args...)}
}

// fit returns the unit of the spec, or an error that says why it cannot be run by the cluster (unfitError), or that systemd cannot be asked.
func (s *subject) fit(ctx context.Context) (*systemd.Unit, error) {
	if err := nameFits(s.unit); err != nil {
		return nil, err
	}
	u, err := s.units.Unit(ctx, s.unit)
	if err != nil {
		return nil, err
	}
	if err := unitFits(s.unit, u); err != nil {
		return nil, err
	}
	for _, name := range u.StartedBy {
		starter, err := s.units.Unit(ctx, name)
		if err != nil {
			return nil, err
		}
		if err := starterFits(u, starter); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// nameFits judges a unit's name alone.
func nameFits(name string) error {
	switch {
	case !strings.Contains(name, "."):
		return unfit(resourcetype.ReasonInvalidSpec, "genericService.unit %s has no type: write %s.service", name, name)
	case !strings.HasSuffix(name, ".service"):
		return unfit(resourcetype.ReasonInvalidSpec, "genericService.unit %s is not a service, and only services have processes that can be ended: name the .service that it stands for", name)
	case strings.Contains(name, "@.service"):
		return unfit(resourcetype.ReasonInvalidSpec, "genericService.unit %s is a template: name an instance of it, such as %s", name, strings.Replace(name, "@.", "@main.", 1))
	}
	return nil
}

// unitFits judges what systemd says of a unit. Nothing but the cluster may start it.
func unitFits(name string, u *systemd.Unit) error {
	switch u.Load {
	case "loaded":
	case "not-found":
		return unfit(resourcetype.ReasonToolMissing, "this host has no unit %s: install the package that brings it, or mend genericService.unit", name)
	case "masked":
		return unfit(ReasonUnitUnfit, "%s is masked: systemctl unmask %s, and leave it disabled", name, name)
	default:
		return unfit(ReasonUnitUnfit, "systemd cannot use the file of %s (%s: %s): mend it, then systemctl daemon-reload", name, u.Load, u.LoadError)
	}
	if u.Name != name {
		return unfit(ReasonUnitUnfit, "%s is another name of %s: name that in genericService.unit", name, u.Name)
	}
	switch u.File {
	case "enabled":
		return unfit(ReasonUnitUnfit, "%s is enabled: it would start at boot, outside of the cluster's rules: systemctl disable %s", name, name)
	case "enabled-runtime":
		return unfit(ReasonUnitUnfit, "%s is enabled until the next boot, outside of the cluster's rules: systemctl disable --runtime %s", name, name)
	case "transient":
		return unfit(ReasonUnitUnfit, "%s was made by a program and is gone when it stops: write a file for it in /etc/systemd/system", name)
	}
	return nil
}

// starterFits judges a unit that has another one started with it. One that does not run, and is not enabled, starts nothing.
func starterFits(u, starter *systemd.Unit) error {
	enabled := starter.File == "enabled" || starter.File == "enabled-runtime"
	if !starter.Runs() && !enabled {
		return nil
	}
	if strings.HasSuffix(starter.Name, ".target") {
		return unfit(ReasonUnitUnfit, "%s starts with %s, outside of the cluster's rules: systemctl disable %s, or remove the link to it from a directory %s.wants",
			u.Name, starter.Name, u.Name, starter.Name)
	}
	return unfit(ReasonUnitUnfit, "%s starts %s, outside of the cluster's rules: systemctl disable --now %s", starter.Name, u.Name, starter.Name)
}
