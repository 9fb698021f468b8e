package apiservers

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// world is what all servers serve: one ConfigMap that changes all the time.
type world struct{ version atomic.Int64 }

func (w *world) object() corev1.ConfigMap {
	return corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "clock", UID: "1", ResourceVersion: fmt.Sprint(w.version.Load())},
	}
}

// fakeServer is an API server with TLS and HTTP/2, behind a network that can be frozen.
type fakeServer struct {
	t        *testing.T
	world    *world
	http     *httptest.Server
	notReady atomic.Bool
	abort    atomic.Bool
	posts    atomic.Int64
	watches  atomic.Int64

	l      net.Listener
	mu     sync.Mutex
	frozen chan struct{} // closed while traffic flows
}

func newFakeServer(t *testing.T, w *world) *fakeServer {
	t.Helper()
	f := &fakeServer{t: t, world: w, frozen: make(chan struct{})}
	close(f.frozen)
	f.http = httptest.NewUnstartedServer(f)
	f.http.EnableHTTP2 = true
	f.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.http.StartTLS()
	var err error
	if f.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	go f.forward()
	t.Cleanup(func() {
		f.kill()
		f.thaw()
		f.http.CloseClientConnections()
		f.http.Close()
	})
	return f
}

func (f *fakeServer) url() string { return "https://" + f.l.Addr().String() }

// freeze stops the server as SIGSTOP does: the kernel still takes connections, and nobody says anything on them.
func (f *fakeServer) freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frozen = make(chan struct{})
}

func (f *fakeServer) thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.frozen:
	default:
		close(f.frozen)
	}
}

func (f *fakeServer) wait() {
	f.mu.Lock()
	c := f.frozen
	f.mu.Unlock()
	<-c
}

// kill ends the listener and all that goes through it, as the kernel does for a process that dies.
func (f *fakeServer) kill() {
	_ = f.l.Close()
	f.http.CloseClientConnections()
}

func (f *fakeServer) forward() {
	for {
		conn, err := f.l.Accept()
		if err != nil {
			return
		}
		other, err := net.Dial("tcp", f.http.Listener.Addr().String())
		if err != nil {
			_ = conn.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{conn, other}, {other, conn}} {
			go func() {
				defer way[1].Close()
				b := make([]byte, 32<<10)
				for {
					n, err := way[0].Read(b)
					f.wait()
					if err != nil {
						return
					}
					if _, err := way[1].Write(b[:n]); err != nil {
						return
					}
				}
			}()
		}
	}
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/readyz" && f.notReady.Load():
		http.Error(w, "etcd failed", http.StatusInternalServerError)
	case r.URL.Path == "/readyz":
		fmt.Fprint(w, "ok")
	case r.Method == http.MethodPost:
		f.posts.Add(1)
		if f.abort.Load() {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.Copy(w, r.Body)
	case r.URL.Query().Get("watch") != "":
		f.watch(w, r)
	default:
		list := corev1.ConfigMapList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMapList"}, Items: []corev1.ConfigMap{f.world.object()}}
		list.ResourceVersion = list.Items[0].ResourceVersion
		_ = json.NewEncoder(w).Encode(list)
	}
}

func (f *fakeServer) watch(w http.ResponseWriter, r *http.Request) {
	f.watches.Add(1)
	defer f.watches.Add(-1)
	send := func(kind watch.EventType, object corev1.ConfigMap) bool {
		raw, err := json.Marshal(&object)
		if err != nil {
			f.t.Error(err)
			return false
		}
		if json.NewEncoder(w).Encode(metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: raw}}) != nil {
			return false
		}
		w.(http.Flusher).Flush()
		return true
	}
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		end := corev1.ConfigMap{TypeMeta: f.world.object().TypeMeta}
		end.ResourceVersion, end.Annotations = f.world.object().ResourceVersion, map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		if !send(watch.Added, f.world.object()) || !send(watch.Bookmark, end) {
			return
		}
	}
	for r.Context().Err() == nil && send(watch.Modified, f.world.object()) {
		time.Sleep(50 * time.Millisecond)
	}
}

// open makes the servers as Load does.
func open(t *testing.T, servers ...*fakeServer) *Servers {
	t.Helper()
	var ca []byte
	var others []string
	for _, f := range servers {
		ca = append(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.http.Certificate().Raw})...)
		others = append(others, f.url())
	}
	s, err := New(&rest.Config{Host: servers[0].url(), TLSClientConfig: rest.TLSClientConfig{CAData: ca}, QPS: -1}, others)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.CloseAll)
	return s
}

func clientOf(t *testing.T, s *Servers) kubernetes.Interface {
	t.Helper()
	config := s.Config()
	config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pair(t *testing.T) (a, b *fakeServer, s *Servers) {
	w := &world{}
	a, b = newFakeServer(t, w), newFakeServer(t, w)
	return a, b, open(t, a, b)
}

// watched follows the ConfigMap with a real informer. seen is the newest version.
func watched(t *testing.T, s *Servers, w *world) (seen *atomic.Int64) {
	t.Helper()
	seen = &atomic.Int64{}
	ctx, cancel := context.WithCancel(t.Context())
	factory := informers.NewSharedInformerFactory(clientOf(t, s), 0)
	informer := factory.Core().V1().ConfigMaps().Informer()
	note := func(o any) {
		var n int64
		if _, err := fmt.Sscan(o.(*corev1.ConfigMap).ResourceVersion, &n); err == nil {
			seen.Store(n)
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: note, UpdateFunc: func(_, o any) { note(o) }})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	go func() {
		for ctx.Err() == nil {
			w.version.Add(1)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	eventually(t, 10*time.Second, func() bool { return seen.Load() > 3 })
	return seen
}

func eventually(t *testing.T, within time.Duration, ok func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !ok() {
		if time.Since(begun) > within {
			t.Fatalf("not within %s", within)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begun)
}

// TestWatchGoesOn takes the server in use away, in every way in which servers go. What an informer watches must go on over the other.
func TestWatchGoesOn(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(*fakeServer)
		// probes says that Run is needed to notice.
		probes bool
	}{
		{"frozen", (*fakeServer).freeze, false},
		{"killed", (*fakeServer).kill, false},
		{"not ready", func(f *fakeServer) { f.notReady.Store(true) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b, s := pair(t)
			switched := make(chan string, 8)
			if c.probes {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					for ctx.Err() == nil {
						_ = s.Probe(ctx)
						time.Sleep(ProbeInterval)
					}
				}()
			}
			s.OnSwitch(func(from, to string, why error) { switched <- fmt.Sprintf("%s to %s: %v", from, to, why) })
			seen := watched(t, s, a.world)
			if a.watches.Load() != 1 || b.watches.Load() != 0 {
				t.Fatal("the first server is to be used first")
			}
			c.fail(a)
			failed := a.world.version.Load()
			took := eventually(t, 10*time.Second, func() bool { return b.watches.Load() == 1 && seen.Load() > failed+5 })
			t.Logf("the watch went on after %s; %s", took, <-switched)
			if took > 4*time.Second {
				t.Errorf("it took %s", took)
			}
			if b.watches.Load() != 1 || s.Current() != b.l.Addr().String() {
				t.Errorf("the other server has %d watches, %s is used", b.watches.Load(), s.Current())
			}
		})
	}
}

func create(t *testing.T, s *Servers) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := clientOf(t, s).CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "new"}}, metav1.CreateOptions{})
	return err
}

func TestWriteGoesToTheNextWhenNothingWasSent(t *testing.T) {
	for name, fail := range map[string]func(*fakeServer){"killed": (*fakeServer).kill, "frozen": (*fakeServer).freeze} {
		t.Run(name, func(t *testing.T) {
			a, b, s := pair(t)
			fail(a)
			if err := create(t, s); err != nil {
				t.Fatal(err)
			}
			if b.posts.Load() != 1 {
				t.Errorf("%d writes on the other server", b.posts.Load())
			}
		})
	}
}

// TestWriteThatWasSentIsNotRepeated: it may have been done.
func TestWriteThatWasSentIsNotRepeated(t *testing.T) {
	a, b, s := pair(t)
	a.abort.Store(true)
	if err := create(t, s); err == nil {
		t.Fatal("no error")
	}
	if a.posts.Load() != 1 || b.posts.Load() != 0 {
		t.Fatalf("%d and %d writes", a.posts.Load(), b.posts.Load())
	}
	if err := create(t, s); err != nil {
		t.Fatal(err)
	}
	if b.posts.Load() != 1 {
		t.Error("the next write is for the other server")
	}
}

func TestAllServersGone(t *testing.T) {
	a, b, s := pair(t)
	a.kill()
	b.kill()
	err := create(t, s)
	if err == nil {
		t.Fatal("no error")
	}
	for _, f := range []*fakeServer{a, b} {
		if !strings.Contains(err.Error(), f.l.Addr().String()) {
			t.Errorf("the error does not name %s: %v", f.l.Addr(), err)
		}
	}
	begun := time.Now()
	if err := s.Probe(t.Context()); err == nil {
		t.Error("a server is ready")
	}
	if took := time.Since(begun); took > 2*ProbeTimeout {
		t.Errorf("the probe took %s", took)
	}
}

// TestServerOfAnotherAuthority is refused, whatever its address.
func TestServerOfAnotherAuthority(t *testing.T) {
	w := &world{}
	a := newFakeServer(t, w)
	s, err := New(&rest.Config{Host: "https://127.0.0.1:1", QPS: -1}, []string{a.url()})
	if err != nil {
		t.Fatal(err)
	}
	if err := create(t, s); err == nil || a.posts.Load() != 0 {
		t.Fatalf("%v, %d writes", err, a.posts.Load())
	}
	if err := s.Probe(t.Context()); err == nil {
		t.Fatal("the probe took it")
	}
}

func TestBadServers(t *testing.T) {
	config := &rest.Config{Host: "https://10.0.0.1:6443"}
	for other, want := range map[string]string{
		"10.0.0.2:6443":             "no URL like https://HOST:PORT",
		"http://10.0.0.2":           "no URL like https://HOST:PORT",
		"https://10.0.0.2:6443/k8s": "another path",
		"https://[::1":              "no URL like https://HOST:PORT",
	} {
		if _, err := New(config, []string{other}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", other, err, want)
		}
	}
	s, err := New(config, []string{"https://10.0.0.2:6443/", "https://10.0.0.1:6443"})
	if err != nil || strings.Join(s.Hosts(), " ") != "10.0.0.1:6443 10.0.0.2:6443" {
		t.Errorf("%v, %v", s, err)
	}
}
