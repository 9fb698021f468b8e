package reservation

import "context"

// commands builds the commands of a Device out of the one function that sends them.
type commands func(ctx context.Context, c Command) error

func (do commands) Register(ctx context.Context, old, key Key) error {
	return do(ctx, Command{Service: ServiceRegister, Key: old, ServiceKey: key})
}

func (do commands) RegisterIgnore(ctx context.Context, key Key) error {
	return do(ctx, Command{Service: ServiceRegisterIgnore, ServiceKey: key})
}

func (do commands) Reserve(ctx context.Context, key Key) error {
	return do(ctx, Command{Service: ServiceReserve, Key: key, Type: WriteExclusiveRegistrantsOnly})
}

func (do commands) Release(ctx context.Context, key Key) error {
	return do(ctx, Command{Service: ServiceRelease, Key: key, Type: WriteExclusiveRegistrantsOnly})
}

func (do commands) PreemptAbort(ctx context.Context, key, victim Key) error {
	return do(ctx, Command{Service: ServicePreemptAbort, Key: key, ServiceKey: victim, Type: WriteExclusiveRegistrantsOnly})
}

func (do commands) Clear(ctx context.Context, key Key) error {
	return do(ctx, Command{Service: ServiceClear, Key: key})
}

func (do commands) LUNReset(ctx context.Context) error {
	return do(ctx, Command{Service: ServiceLUNReset})
}
