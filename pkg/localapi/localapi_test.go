package localapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"golang.org/x/sys/unix"
)

type greeting struct {
	Name string `json:"name"`
}

// serve runs a server with a few operations and returns a client and what was logged.
func serve(t *testing.T, runDir string) (*Client, func() string) {
	t.Helper()
	lines := make(chan string, 100)
	s := NewServer(funcr.New(func(_, args string) { lines <- args }, funcr.Options{}))
	Act(s, "greet", func(_ context.Context, caller Caller, g *greeting) (greeting, error) {
		switch g.Name {
		case "":
			return greeting{}, Invalid("name is needed")
		case "nobody":
			return greeting{}, Refused("nobody is there")
		case "ghost":
			return greeting{}, io.ErrUnexpectedEOF
		}
		if caller.PID != int32(os.Getpid()) || caller.UID != uint32(os.Getuid()) || caller.User == "" || caller.Command == "" {
			t.Errorf("caller %+v", caller)
		}
		return greeting{Name: "hello " + g.Name}, nil
	})
	Query(s, "look", func(context.Context, *struct{}) (greeting, error) { return greeting{Name: "here"}, nil })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, runDir) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	c := &Client{RunDir: runDir}
	for c.Call(t.Context(), "look", struct{}{}, &greeting{}) != nil {
		time.Sleep(time.Millisecond)
	}
	return c, func() string {
		var all strings.Builder
		for {
			select {
			case line := <-lines:
				all.WriteString(line + "\n")
			default:
				return all.String()
			}
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root is served")
	}
}

func TestCalls(t *testing.T) {
	needRoot(t)
	c, logged := serve(t, t.TempDir())
	for name, tc := range map[string]struct {
		operation string
		request   any
		want      string
		code      Code
		logs      string
	}{
		"an act":                    {"greet", greeting{"you"}, "hello you", "", "The act was carried out"},
		"a wrong act":               {"greet", greeting{}, "", CodeInvalid, "name is needed"},
		"a refused act":             {"greet", greeting{"nobody"}, "", CodeRefused, "nobody is there"},
		"an act that fails":         {"greet", greeting{"ghost"}, "", CodeInternal, "unexpected EOF"},
		"a query":                   {"look", struct{}{}, "here", "", ""},
		"an unknown operation":      {"fly", struct{}{}, "", CodeUnknown, ""},
		"an unknown field":          {"greet", map[string]string{"name": "you", "loudly": "yes"}, "", CodeInvalid, ""},
		"a request of another type": {"greet", []int{1}, "", CodeInvalid, ""},
		"a request too large":       {"greet", greeting{strings.Repeat("x", maxRequest)}, "", CodeInvalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			logged()
			var reply greeting
			err := c.Call(t.Context(), tc.operation, tc.request, &reply)
			var refused *Error
			switch {
			case tc.code == "" && err != nil:
				t.Fatal(err)
			case tc.code != "" && (!errors.As(err, &refused) || refused.Code != tc.code || refused.Message == ""):
				t.Errorf("error %#v, want code %s", err, tc.code)
			}
			if reply.Name != tc.want {
				t.Errorf("reply %q", reply.Name)
			}
			lines := logged()
			if !strings.Contains(lines, tc.logs) || tc.logs == "" && lines != "" {
				t.Errorf("logged %q, want %q in it", lines, tc.logs)
			}
		})
	}
}

// TestLongDirectory: a unix address holds 107 bytes, a run directory may be longer.
func TestLongDirectory(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	serve(t, dir)
	info, err := os.Stat(filepath.Join(dir, SocketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", info, err)
	}
}

// TestStaleSocket: what a dead agent has left is no agent, and is in nobody's way.
func TestStaleSocket(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	c := &Client{RunDir: dir}
	if err := c.Call(t.Context(), "look", struct{}{}, &greeting{}); !errors.Is(err, ErrNoAgent) {
		t.Errorf("without a socket: %v", err)
	}
	listener, err := listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := c.Call(t.Context(), "look", struct{}{}, &greeting{}); !errors.Is(err, ErrNoAgent) {
		t.Errorf("with the socket of a dead agent: %v", err)
	}
	serve(t, dir)
}

// TestOnlyRoot calls from a thread that has given up root, over a socket whose file lets everyone in: the kernel's word decides.
func TestOnlyRoot(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	_, logged := serve(t, dir)
	for path, mode := range map[string]os.FileMode{filepath.Join(dir, SocketName): 0o666, dir: 0o755, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	logged()
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
			result <- errno
			return
		}
		conn, err := dial(context.Background(), dir)
		if err != nil {
			result <- err
			return
		}
		defer conn.Close()
		transport := &http.Transport{Dial: func(string, string) (net.Conn, error) { return conn, nil }} //nolint:staticcheck // the connection of this thread
		response, err := (&http.Client{Transport: transport}).Post("http://agent/v1/greet", "", strings.NewReader(`{"name":"you"}`))
		if err != nil {
			result <- err
			return
		}
		defer response.Body.Close()
		result <- read(response, &greeting{})
	}()
	var refused *Error
	if err := <-result; !errors.As(err, &refused) || refused.Code != CodeForbidden || !strings.Contains(refused.Message, "65534") {
		t.Errorf("another user got %v", err)
	}
	if lines := logged(); !strings.Contains(lines, "turned away") {
		t.Errorf("logged %q", lines)
	}
}

// FuzzDecode: whatever arrives is a request, or is refused with a code.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"you"}`))
	f.Add([]byte(`{"name":"you"}{}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var refused *Error
		if err := decode(bytes.NewReader(raw), &greeting{}); err != nil && (!errors.As(err, &refused) || refused.Code != CodeInvalid) {
			t.Errorf("%q: %v", raw, err)
		}
	})
}

// FuzzRead: whatever answers, the client has an error or a reply.
func FuzzRead(f *testing.F) {
	f.Add(200, []byte(`{"name":"you"}`))
	f.Add(409, []byte(`{"code":"Refused","message":"no"}`))
	f.Add(500, []byte(`oops`))
	f.Fuzz(func(t *testing.T, status int, raw []byte) {
		w := httptest.NewRecorder()
		w.Body.Write(raw)
		w.Code = status
		err := read(w.Result(), &greeting{})
		if status != http.StatusOK && (err == nil || err.Error() == "") {
			t.Errorf("%d %q: no error", status, raw)
		}
	})
}

// TestNobody: a connection that is no unix socket has no caller.
func TestNobody(t *testing.T) {
	s := NewServer(logr.Discard())
	Query(s, "look", func(context.Context, *struct{}) (greeting, error) { return greeting{Name: "here"}, nil })
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/look", strings.NewReader("{}")))
	if w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
