package container

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// fake is an engine with images and without containers.
type fake struct {
	engine // what a test does not expect panics

	mu     sync.Mutex
	silent error
	asked  int
	images map[string]bool
	pulls  []string
	refuse error         // of the registry
	takes  time.Duration // of a pull
	dead   map[string]string
	gone   []string
}

func (f *fake) Answers(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return f.silent
}

func (f *fake) HasImage(_ context.Context, ref string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.images[ref], nil
}

func (f *fake) Pull(ctx context.Context, ref string) error {
	f.mu.Lock()
	f.pulls = append(f.pulls, ref)
	f.mu.Unlock()
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse == nil {
		f.images[ref] = true
	}
	return f.refuse
}

func (f *fake) Exec(context.Context, string, string, []string, io.Writer) (uint32, error) {
	return 0, f.silent
}

func (f *fake) Dead(context.Context, time.Duration) (map[string]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead, nil
}

func (f *fake) Remove(_ context.Context, id, _ string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = append(f.gone, id)
	return nil
}

func specWith(t *testing.T, p *v1alpha1.Container) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(v1alpha1.ResourceSpec{Type: v1alpha1.TypeContainer, ResourceParameters: v1alpha1.ResourceParameters{Container: p}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestFetchedAhead: a look at a host begins to fetch what is missing, once; a registry that refuses is asked again after a minute.
func TestFetchedAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{images: map[string]bool{}, takes: 10 * time.Second, refuse: errors.New("no such manifest"), dead: map[string]string{"old": "u"}}
		typ := newType(f, "/run/x.sock")
		spec := specWith(t, &v1alpha1.Container{Image: "box:1"})
		const full = "docker.io/library/box:1"
		look := func(state v1alpha1.ImageState, want string) {
			t.Helper()
			image := typ.Image(t.Context(), spec)
			if image.Name != "box:1" || image.State != state || !strings.Contains(image.Message, want) {
				t.Errorf("Image() = %v, want %s, %q", image, state, want)
			}
			problems := typ.Check(t.Context(), spec)
			if len(problems) != 1 || problems[0].Reason != resourcetype.ReasonImageMissing || problems[0].Object != full || !strings.Contains(problems[0].Message, want) {
				t.Errorf("Check() = %v, want %q", problems, want)
			}
		}
		look(v1alpha1.ImageFetching, "it is being fetched")
		time.Sleep(5 * time.Second)
		look(v1alpha1.ImageFetching, "it is being fetched")
		time.Sleep(10 * time.Second)
		look(v1alpha1.ImageMissing, "no such manifest")
		f.mu.Lock()
		if len(f.pulls) != 1 || f.pulls[0] != full {
			t.Errorf("pulled %v", f.pulls)
		}
		if len(f.gone) != 1 || f.gone[0] != "old" {
			t.Errorf("removed %v, want what was left behind, once", f.gone)
		}
		f.refuse = nil
		f.mu.Unlock()
		time.Sleep(time.Minute)
		look(v1alpha1.ImageMissing, "no such manifest") // as long as it is tried again
		time.Sleep(11 * time.Second)
		if image := typ.Image(t.Context(), spec); image.State != v1alpha1.ImagePresent || image.Message != "" {
			t.Errorf("Image() = %v after the image came", image)
		}
		if problems := typ.Check(t.Context(), spec); problems != nil {
			t.Errorf("Check() = %v after the image came", problems)
		}
	})
}

// TestPullPolicies: what each does at a start, with and without the image, and with and without the registry.
func TestPullPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		policy v1alpha1.ContainerPullPolicy
		has    bool
		refuse error
		pulls  int
		fails  bool
	}{
		"there":                      {v1alpha1.ContainerPullIfNotPresent, true, nil, 0, false},
		"missing":                    {v1alpha1.ContainerPullIfNotPresent, false, nil, 1, false},
		"missing, and no registry":   {v1alpha1.ContainerPullIfNotPresent, false, errors.New("down"), 1, true},
		"no policy":                  {"", false, nil, 1, false},
		"always":                     {v1alpha1.ContainerPullAlways, true, nil, 1, false},
		"always, and no registry":    {v1alpha1.ContainerPullAlways, true, errors.New("down"), 1, false},
		"always, without the image":  {v1alpha1.ContainerPullAlways, false, errors.New("down"), 1, true},
		"never":                      {v1alpha1.ContainerPullNever, true, nil, 0, false},
		"never, and it is not there": {v1alpha1.ContainerPullNever, false, nil, 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{images: map[string]bool{"r/box:1": c.has}, refuse: c.refuse, takes: 12 * time.Second}
			typ, told := newType(f, ""), 0
			inst := &resourcetype.Instance{Log: logr.Discard(), Progress: func(string) { told++ }}
			err := typ.images.ensure(t.Context(), inst, "r/box:1", c.policy)
			if (err != nil) != c.fails || len(f.pulls) != c.pulls {
				t.Errorf("%s: %v after %d pulls", name, err, len(f.pulls))
			}
			if want := 3 * c.pulls; told != want { // at the beginning, then each 5 s: the pending timeout is renewed
				t.Errorf("%s: told %d times, want %d", name, told, want)
			}
		})
	}
}

// TestSilenceIsRemembered: a containerd that does not answer costs one wait for all containers of a look, not one for each.
func TestSilenceIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{silent: errors.New("refused")}
		typ, spec := newType(f, "/run/x.sock"), specWith(t, &v1alpha1.Container{Image: "box"})
		for range 10 {
			problems := typ.Check(t.Context(), spec)
			if len(problems) != 1 || problems[0].Reason != v1alpha1.ProblemContainerd || problems[0].Object != "/run/x.sock" {
				t.Fatalf("Check() = %v", problems)
			}
		}
		if f.asked != 1 {
			t.Errorf("asked %d times", f.asked)
		}
		time.Sleep(5 * time.Second)
		typ.Check(t.Context(), spec)
		if f.asked != 2 {
			t.Errorf("asked %d times, want again at the next look", f.asked)
		}
	})
}

func TestCheckSpec(t *testing.T) {
	typ := newType(&fake{images: map[string]bool{}}, "")
	if got := typ.Check(t.Context(), nil); got != nil {
		t.Errorf("Check(nil) = %v", got)
	}
	for name, p := range map[string]*v1alpha1.Container{
		"none": nil, "name": {Image: "A B"}, "support": {Image: "a", ClusterSupport: true}, "signal": {Image: "a", Stop: &v1alpha1.Stop{Signal: "SIGX"}},
	} {
		if got := typ.Check(t.Context(), specWith(t, p)); len(got) != 1 || got[0].Reason != resourcetype.ReasonInvalidSpec {
			t.Errorf("%s: Check() = %v", name, got)
		}
	}
}

func TestID(t *testing.T) {
	const uid = "0c1f5f4e-57a4-4f1c-8b30-5b3b3a9f3f10"
	for name, want := range map[string]string{
		"web": "web-" + uid, strings.Repeat("a", 60): strings.Repeat("a", 39) + "-" + uid, strings.Repeat("a", 38) + "-b": strings.Repeat("a", 38) + "-" + uid,
	} {
		if got := id(&resourcetype.Instance{Resource: resourcetype.Identity{UID: uid, Name: name}}); got != want || len(got) > maxID {
			t.Errorf("id of %s = %s, want %s", name, got, want)
		}
	}
}

func TestRuntimePath(t *testing.T) {
	for path, want := range map[string]string{
		"/sys/fs/cgroup/quorate/container-u": "/quorate/container-u", "/sys/fs/cgroup/unified/quorate/container-u": "/quorate/container-u",
		"/mnt/cgroup2/x/container-u": "/quorate/container-u",
	} {
		if got := runtimePath(path); got != want {
			t.Errorf("%s is told as %s, want %s", path, got, want)
		}
	}
}
