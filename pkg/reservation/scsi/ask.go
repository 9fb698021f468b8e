package scsi

import (
	"context"
	"fmt"
)

// Sizes of the buffers. A list of keys that does not fit is asked for again, up to what the command can carry.
const (
	keysLength         = 4 + 4 + 8*32
	maxLength          = 0xfff8
	identifyLength     = 252
	reservationLength  = 24
	capabilitiesLength = 8
)

// Send carries out a command that returns no data.
func Send(ctx context.Context, t Transport, c Command) error {
	_, err := ask(ctx, t, c)
	return err
}

func ask(ctx context.Context, t Transport, c Command) ([]byte, error) {
	r, err := t.Do(ctx, c)
	if err == nil {
		err = Check(r)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	return r.Data, nil
}

// ReadKeys asks for the registered keys.
func ReadKeys(ctx context.Context, t Transport) (Keys, error) {
	for length := keysLength; ; {
		raw, err := ask(ctx, t, persistentReserveIn(inReadKeys, "READ KEYS", length))
		if err != nil {
			return Keys{}, err
		}
		k, err := ParseKeys(raw)
		if err != nil {
			return Keys{}, fmt.Errorf("READ KEYS: %w", err)
		}
		if k.Missing == 0 {
			return k, nil
		}
		if length == maxLength {
			return Keys{}, fmt.Errorf("READ KEYS: the disk has more keys than the command can carry")
		}
		length = maxLength
	}
}

// ReadReservation asks for the holder.
func ReadReservation(ctx context.Context, t Transport) (Reservation, error) {
	raw, err := ask(ctx, t, persistentReserveIn(inReadReservation, "READ RESERVATION", reservationLength))
	if err != nil {
		return Reservation{}, err
	}
	r, err := ParseReservation(raw)
	if err != nil {
		return Reservation{}, fmt.Errorf("READ RESERVATION: %w", err)
	}
	return r, nil
}

// ReportCapabilities asks what the disk can do.
func ReportCapabilities(ctx context.Context, t Transport) (Capabilities, error) {
	raw, err := ask(ctx, t, persistentReserveIn(inReportCapabilities, "REPORT CAPABILITIES", capabilitiesLength))
	if err != nil {
		return Capabilities{}, err
	}
	c, err := ParseCapabilities(raw)
	if err != nil {
		return Capabilities{}, fmt.Errorf("REPORT CAPABILITIES: %w", err)
	}
	return c, nil
}

// ReadFullStatus asks for every registered path. Not every disk knows the command (ErrUnsupported).
func ReadFullStatus(ctx context.Context, t Transport) ([]Registrant, error) {
	raw, err := ask(ctx, t, persistentReserveIn(inReadFullStatus, "READ FULL STATUS", maxLength))
	if err != nil {
		return nil, err
	}
	_, list, err := ParseFullStatus(raw)
	if err != nil {
		return nil, fmt.Errorf("READ FULL STATUS: %w", err)
	}
	return list, nil
}

// Identify asks the disk itself for its name, which the kernel has read only once.
func Identify(ctx context.Context, t Transport) (string, error) {
	raw, err := ask(ctx, t, identification())
	if err != nil {
		return "", err
	}
	name, err := ParseIdentification(raw)
	if err != nil {
		return "", fmt.Errorf("INQUIRY: %w", err)
	}
	return name, nil
}
