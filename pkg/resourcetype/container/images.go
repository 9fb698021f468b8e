package container

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// pid of this process.
var pid = os.Getpid()

const (
	// pullTime bounds one attempt to fetch an image, pullRetry is how soon the next one may begin.
	pullTime  = time.Hour
	pullRetry = time.Minute
	// pullReport is how often a start tells that it waits for an image.
	pullReport = 5 * time.Second
	// pulls is how many images are fetched at a time: what serves has the first claim on the network.
	pulls = 2
	// silenceHolds is shorter than the pause between two looks at the host.
	silenceHolds = 3 * time.Second
)

// images fetches images, each once at a time whoever wants it.
type images struct {
	engine engine

	mu    sync.Mutex
	all   map[string]*pull
	slots chan struct{}
}

// pull is an attempt to fetch an image.
type pull struct {
	done  chan struct{}
	err   error
	ended time.Time
	// before is why the attempt before this one failed; nil when there was none, or it did not.
	before error
}

// begin starts an attempt unless one is under way, or has failed within the last pause. It returns the one that counts.
func (i *images) begin(ref string, pause time.Duration) *pull {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.all == nil {
		i.all, i.slots = map[string]*pull{}, make(chan struct{}, pulls)
	}
	p := &pull{done: make(chan struct{})}
	if last := i.all[ref]; last != nil {
		select {
		case <-last.done:
			if time.Since(last.ended) < pause {
				return last
			}
		default:
			return last
		}
		p.before = last.err
	}
	i.all[ref] = p
	go func() {
		i.slots <- struct{}{}
		defer func() { <-i.slots }()
		ctx, cancel := context.WithTimeout(context.Background(), pullTime)
		defer cancel()
		err := i.engine.Pull(ctx, ref)
		i.mu.Lock()
		defer i.mu.Unlock()
		p.err, p.ended = err, time.Now()
		close(p.done)
	}()
	return p
}

// failure is why the last attempt that has ended failed; nil when it did not, or none has. What cannot be fetched thus stays so while it is
// tried again, or its state would change every minute.
func (p *pull) failure() error {
	select {
	case <-p.done:
		return p.err
	default:
		return p.before
	}
}

// ensure makes sure that the host has an image, as the policy says.
func (i *images) ensure(ctx context.Context, inst *resourcetype.Instance, ref string, policy v1alpha1.ContainerPullPolicy) error {
	limited, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	has, err := i.engine.HasImage(limited, ref)
	switch {
	case err != nil:
		return fmt.Errorf("looking for the image %s: %w", ref, err)
	case has && policy != v1alpha1.ContainerPullAlways:
		return nil
	case !has && policy == v1alpha1.ContainerPullNever:
		return fmt.Errorf("%w: %s, and pullPolicy is Never: bring it with `ctr -n %s images import FILE`, or fetch it with `ctr -n %s images pull %s`",
			errNoImage, ref, Namespace, Namespace, ref)
	}
	err = i.wait(ctx, inst, ref)
	if err != nil && has && ctx.Err() == nil {
		inst.Log.Info("The registry was not asked; the image that the host has is used", "image", ref, "reason", err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("fetching the image %s: %w; bring it with `ctr -n %s images import FILE` if its registry cannot be reached", ref, err, Namespace)
	}
	return nil
}

// wait fetches an image, and tells from time to time that it does.
func (i *images) wait(ctx context.Context, inst *resourcetype.Instance, ref string) error {
	p := i.begin(ref, 0)
	tick := time.NewTicker(pullReport)
	defer tick.Stop()
	inst.Report("fetching the image %s", ref)
	for {
		select {
		case <-p.done:
			return p.err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			inst.Report("fetching the image %s goes on", ref)
		}
	}
}

// Check implements resourcetype.Checker: containerd must answer and have the image. One that is missing begins to be fetched, if the
// policy says so, and what an earlier life of this host has left in containerd is removed.
func (t *Type) Check(ctx context.Context, spec json.RawMessage) []resourcetype.Problem {
	if spec == nil {
		return nil
	}
	p, err := params(spec)
	if err != nil {
		return []resourcetype.Problem{{Reason: resourcetype.ReasonInvalidSpec, Message: err.Error()}}
	}
	ref, err := imageName(p.Image)
	if err != nil {
		return []resourcetype.Problem{{Reason: resourcetype.ReasonInvalidSpec, Object: p.Image, Message: err.Error()}}
	}
	if err := t.answered(ctx); err != nil {
		return []resourcetype.Problem{{
			Reason: v1alpha1.ProblemContainerd, Object: t.socket, Message: err.Error() + "; containers that run go on, and are watched",
		}}
	}
	t.tidySometimes()
	image := t.image(ctx, ref, p.PullPolicy)
	if image.State == v1alpha1.ImagePresent {
		return nil
	}
	return []resourcetype.Problem{{Reason: resourcetype.ReasonImageMissing, Object: ref, Message: image.Message}}
}

// Image implements resourcetype.Imager.
func (t *Type) Image(ctx context.Context, spec json.RawMessage) *v1alpha1.AgentImage {
	p, err := params(spec)
	if err != nil {
		return nil
	}
	ref, err := imageName(p.Image)
	if err != nil {
		return nil
	}
	image := v1alpha1.AgentImage{State: v1alpha1.ImageUnknown}
	if err := t.answered(ctx); err != nil {
		image.Message = fmt.Sprintf("it cannot be told whether the image is on this host: %v", err)
	} else {
		image = t.image(ctx, ref, p.PullPolicy)
	}
	image.Name = p.Image
	return &image
}

// answered is answers for those who ask about one container after the other: a silence holds for a moment, so that all are told of it in
// time.
func (t *Type) answered(ctx context.Context) error {
	t.mu.Lock()
	err, since := t.silence, time.Since(t.silentAt)
	t.mu.Unlock()
	if err != nil && since < silenceHolds {
		return err
	}
	err = t.answers(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.silence, t.silentAt = err, time.Now()
	return err
}

// image says what there is to say of an image, by its full name.
func (t *Type) image(ctx context.Context, ref string, policy v1alpha1.ContainerPullPolicy) v1alpha1.AgentImage {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	has, err := t.engine.HasImage(ctx, ref)
	state, message := v1alpha1.ImageMissing, ""
	switch {
	case err != nil:
		state, message = v1alpha1.ImageUnknown, fmt.Sprintf("it cannot be told whether the image %s is on this host: %v", ref, err)
	case has:
		state = v1alpha1.ImagePresent
	case policy == v1alpha1.ContainerPullNever:
		message = fmt.Sprintf("the image %s is not on this host, and pullPolicy is Never: bring it with `ctr -n %s images import FILE`", ref, Namespace)
	default:
		if err := t.images.begin(ref, pullRetry).failure(); err != nil {
			message = fmt.Sprintf("the image %s is not on this host and cannot be fetched; it is tried again every minute: %v", ref, err)
			break
		}
		state, message = v1alpha1.ImageFetching, fmt.Sprintf("the image %s is not on this host yet; it is being fetched", ref)
	}
	return v1alpha1.AgentImage{Name: ref, State: state, Message: message}
}
