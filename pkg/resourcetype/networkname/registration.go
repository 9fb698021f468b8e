package networkname

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/quorate/quorate/pkg/dnsupdate"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// registration keeps the records of one name as they should be, for as long as it is online here.
type registration struct {
	typ    *Type
	inst   *resourcetype.Instance
	rec    *record
	opts   *Options
	cancel context.CancelFunc
	wake   chan struct{}
	// done is closed when the name is registered for the first time.
	done chan struct{}
	once sync.Once

	mu sync.Mutex
	// failed is what is wrong since the last look; at are the addresses that are written.
	failed error
	at     []netip.Addr
}

// errNotYet is the trouble of a name that is being registered for the first time.
var errNotYet = errors.New("the DNS server has not answered yet")

// register begins; nil means that there is nothing to register, or no background.
func (t *Type) register(inst *resourcetype.Instance, rec *record) *registration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rec.Zone == "" || t.opts == nil || t.closed {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background()) // past the call that begins it: close and deregister end it
	r := &registration{
		typ: t, inst: inst, rec: rec, opts: t.opts, cancel: cancel, wake: make(chan struct{}, 1), done: make(chan struct{}), failed: errNotYet,
	}
	t.registrations[inst.Resource.UID] = r
	go r.run(ctx)
	return r
}

// ensure returns the registration of an instance that is online, and begins it if an earlier agent had it.
func (t *Type) ensure(inst *resourcetype.Instance) (*registration, error) {
	t.mu.Lock()
	r := t.registrations[inst.Resource.UID]
	t.mu.Unlock()
	if r != nil {
		return r, nil
	}
	rec := &record{}
	if found, err := inst.LoadData(rec); err != nil || !found || rec.Name == "" {
		return nil, errors.Join(err, errors.New("it was not started here"))
	}
	return t.register(inst, rec), nil
}

func (t *Type) deregister(uid string) {
	t.mu.Lock()
	r := t.registrations[uid]
	delete(t.registrations, uid)
	t.mu.Unlock()
	if r != nil {
		r.cancel()
		t.tell(uid, resourcetype.Problem{})
	}
}

// tell replaces the problem of a registration or a removal; an empty one is none.
func (t *Type) tell(key string, p resourcetype.Problem) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opts == nil || t.problems[key] == p {
		return
	}
	t.problems[key] = p
	if p == (resourcetype.Problem{}) {
		delete(t.problems, key)
	}
	list := make([]resourcetype.Problem, 0, len(t.problems))
	for _, p := range t.problems {
		list = append(list, p)
	}
	slices.SortFunc(list, compare)
	t.opts.Tell(list)
}

// run looks, corrects, and looks again when it is asked to; after a failure by itself, later each time.
func (r *registration) run(ctx context.Context) {
	wait := r.opts.Timing.Retry
	for {
		err := r.write(ctx)
		if ctx.Err() != nil {
			return
		}
		r.note(err)
		var again <-chan time.Time
		if err != nil {
			again = time.After(wait/2 + rand.N(wait/2+1))
			wait = min(2*wait, r.opts.Timing.MaxRetry)
		} else {
			wait = r.opts.Timing.Retry
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-again:
		}
	}
}

// look asks for another look soon.
func (r *registration) look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// present are the addresses that are on this host now.
func (r *registration) present() []netip.Addr {
	return slices.DeleteFunc(slices.Clone(r.rec.Addresses), func(a netip.Addr) bool { return !r.typ.local(a) })
}

func (r *registration) written() []netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

func (r *registration) trouble() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// note keeps and tells how the last look has ended.
func (r *registration) note(err error) {
	var newer *dnsupdate.NewerError
	if errors.As(err, &newer) {
		r.inst.Log.Info("The name has a later owner; it is left alone", "name", r.rec.Name, "owner", newer.By.String())
	}
	r.mu.Lock()
	before := r.failed
	r.failed = err
	r.mu.Unlock()
	problem := resourcetype.Problem{}
	switch {
	case err == nil:
		r.once.Do(func() { close(r.done) })
		if before != nil {
			r.inst.Log.Info("The name is registered", "name", r.rec.Name, "zone", r.rec.Zone, "server", r.rec.Server)
		}
	case newer == nil:
		problem = resourcetype.Problem{
			Reason: resourcetype.ReasonNameNotRegistered, Object: r.inst.Resource.String(),
			Message: fmt.Sprintf("%s.%s is not kept in DNS: %v", r.rec.Name, r.rec.Zone, err),
		}
		if before == nil || before.Error() != err.Error() {
			r.inst.Log.Info("The name is not registered; it is tried again", "name", r.rec.Name, "zone", r.rec.Zone, "reason", err.Error())
		}
	}
	r.typ.mu.Lock()
	current := r.typ.registrations[r.inst.Resource.UID] == r
	r.typ.mu.Unlock()
	if current {
		r.typ.tell(r.inst.Resource.UID, problem)
	}
}

// write makes the records those of the addresses that are here.
func (r *registration) write(ctx context.Context) error {
	addresses := r.present()
	if len(addresses) == 0 {
		return nil // they are going or coming; the next look sees them
	}
	client, err := r.opts.client(ctx, r.rec)
	if err != nil {
		return err
	}
	entry, err := dnsupdate.Addresses(r.rec.Name, r.rec.Zone, r.rec.TTL, addresses)
	if err != nil {
		return err
	}
	if _, err := client.Publish(ctx, entry, r.rec.Mark, r.inst.MayStart); err != nil {
		return err
	}
	for _, a := range addresses {
		err := pointer(ctx, client, r.rec, a, func(e *dnsupdate.Entry) error {
			_, err := client.Publish(ctx, e, r.rec.Mark, r.inst.MayStart)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, a := range r.written() {
		if slices.Contains(addresses, a) {
			continue
		}
		err := pointer(ctx, client, r.rec, a, func(e *dnsupdate.Entry) error {
			_, err := client.Withdraw(ctx, e, r.rec.Mark)
			return err
		})
		if err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = addresses
	return nil
}

// client is one for the server, with the key as it is last known.
func (o *Options) client(ctx context.Context, rec *record) (*dnsupdate.Client, error) {
	client := &dnsupdate.Client{Server: rec.Server, Timeout: o.Timing.Exchange}
	if rec.Secret == "" {
		return client, nil
	}
	data, err := o.Secret(ctx, rec.Namespace, rec.Secret)
	if err != nil {
		return nil, err
	}
	if client.Key, err = dnsupdate.ParseKey(data); err != nil {
		return nil, fmt.Errorf("the Secret %s/%s is no TSIG key: %w", rec.Namespace, rec.Secret, err)
	}
	return client, nil
}

// pointer does something about the PTR record of an address, if the server has its reverse zone and takes updates there. A zone that it does not
// let be changed, or a name that the address has from elsewhere, is left as it is.
func pointer(ctx context.Context, client *dnsupdate.Client, rec *record, a netip.Addr, do func(*dnsupdate.Entry) error) error {
	zone, found, err := client.ReverseZone(ctx, a)
	if err != nil || !found {
		return err
	}
	forward, err := dnsupdate.Addresses(rec.Name, rec.Zone, rec.TTL, nil)
	if err != nil {
		return err
	}
	entry, err := dnsupdate.Pointer(a, zone, forward.Name, rec.TTL)
	if err != nil {
		return err
	}
	err = do(entry)
	var (
		answer *dnsupdate.AnswerError
		taken  *dnsupdate.TakenError
		newer  *dnsupdate.NewerError
	)
	if errors.As(err, &taken) || errors.As(err, &newer) {
		return nil
	}
	if errors.As(err, &answer) && (answer.Rcode == dns.RcodeRefused || answer.Rcode == dns.RcodeNotAuth || answer.Rcode == dns.RcodeNotImplemented) {
		return nil
	}
	return err
}
