package lab

import (
	"context"
	"errors"

	"github.com/quorate/quorate/test/lab/array"
	"github.com/quorate/quorate/test/lab/protocol"
)

// Repair undoes every misfortune: it heals all links and disks, thaws and starts every host, and the API server.
func (l *Lab) Repair(ctx context.Context) error {
	status, err := l.Status(ctx)
	if err != nil {
		return err
	}
	errs := []error{l.HealAll(ctx)}
	for _, h := range status.Hosts {
		switch h.State {
		case protocol.HostDown:
			errs = append(errs, l.Start(ctx, h.Name))
		case protocol.HostFrozen:
			errs = append(errs, l.Thaw(ctx, h.Name))
		case protocol.HostUp:
		}
		if len(h.Paths) > 0 {
			errs = append(errs, l.disk(ctx, h.Name, 0, array.PathOK))
		}
	}
	return errors.Join(append(errs, l.repairAPI(ctx, status))...)
}

func (l *Lab) repairAPI(ctx context.Context, status *Status) error {
	switch status.API {
	case protocol.APIStopped:
		return l.StartAPI(ctx)
	case protocol.APIFrozen:
		return l.ThawAPI(ctx)
	case protocol.APIReady, protocol.APIStarting, protocol.APINone:
	}
	return nil
}
