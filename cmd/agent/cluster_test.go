package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr/testr"

	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/explain"
	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/nodeagent"
	"github.com/quorate/quorate/pkg/replica"
)

// fakeAgent answers on a socket as the test says.
type fakeAgent struct {
	dir string
	// reply answers what is asked, progress the n-th look at it.
	reply    func(*nodeagent.AskRequest) (*nodeagent.AskReply, error)
	progress func(n int32) autonomy.Progress
	looks    atomic.Int32
	asked    atomic.Pointer[nodeagent.AskRequest]
}

func newFakeAgent(t *testing.T) *fakeAgent {
	t.Helper()
	f := &fakeAgent{dir: t.TempDir(), reply: func(q *nodeagent.AskRequest) (*nodeagent.AskReply, error) {
		return &nodeagent.AskReply{Entry: &replica.Entry{Namespace: "demo", Name: q.Name, UID: "u", Request: &replica.Request{
			ID: q.ID, Verb: q.Verb, Changes: []replica.Change{{Field: replica.FieldMove, To: q.Target + "/" + q.ID}},
		}}}, nil
	}, progress: func(int32) autonomy.Progress { return autonomy.Progress{Done: true, Message: "it is there"} }}
	server := localapi.NewServer(testr.New(t).V(1))
	localapi.Act(server, nodeagent.OpAsk, func(_ context.Context, _ localapi.Caller, q *nodeagent.AskRequest) (*nodeagent.AskReply, error) {
		f.asked.Store(q)
		return f.reply(q)
	})
	localapi.Query(server, nodeagent.OpProgress, func(_ context.Context, _ *nodeagent.AskReply) (*autonomy.Progress, error) {
		p := f.progress(f.looks.Add(1))
		return &p, nil
	})
	localapi.Query(server, nodeagent.OpExplain, func(_ context.Context, q *nodeagent.ExplainRequest) (*explain.Explained, error) {
		return &explain.Explained{Group: q.Namespace + "/" + q.Name, State: "Online", Owner: "node-a", Nodes: []explain.Verdict{
			{Node: "node-a", Owner: true, Eligible: true, Rank: 1, Message: "keeps it"}, {Node: "node-b", Reasons: []string{"NodeDrained"}, Message: "is drained"},
		}}, nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, f.dir) }()
	t.Cleanup(func() { cancel(); <-done })
	client := localapi.Client{RunDir: f.dir}
	for client.Call(t.Context(), nodeagent.OpExplain, nodeagent.ExplainRequest{}, &explain.Explained{}) != nil {
		if t.Context().Err() != nil {
			t.Fatal("the socket does not come up")
		}
	}
	return f
}

// run runs the command line, and returns what it wrote and its exit code.
func (f *fakeAgent) run(t *testing.T, args ...string) (out string, code int, err error) {
	t.Helper()
	cmd := command()
	var b bytes.Buffer
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SetArgs(append(args, "--run-dir", f.dir))
	if err = cmd.ExecuteContext(t.Context()); err != nil {
		code = exitCode(err)
	}
	return b.String(), code, err
}

func TestMoveCommand(t *testing.T) {
	f := newFakeAgent(t)
	f.progress = func(n int32) autonomy.Progress {
		return []autonomy.Progress{{}, {Message: "on its way"}, {Message: "on its way"}, {Done: true, Message: "it is there"}}[min(n, 3)]
	}
	out, code, err := f.run(t, "move", "rg/shop", "node-b", "-n", "demo")
	want := "group demo/shop: taken, on the disks of all members of the view (quorate.io/move-to is node-b/" + f.asked.Load().ID + ")\non its way\nit is there\n"
	if err != nil || code != 0 || out != want {
		t.Errorf("%v, %d:\n%swant\n%s", err, code, out, want)
	}
	q := f.asked.Load()
	if q.Verb != replica.VerbMove || q.Name != "shop" || q.Namespace != "demo" || q.Target != "node-b" || replica.CheckRequestID(q.ID) != nil || q.Within.Duration <= 0 {
		t.Errorf("asked %+v", q)
	}
	out, _, _ = f.run(t, "move", "shop", "best", "-o", "json")
	var e ended
	if err := json.Unmarshal([]byte(out), &e); err != nil || e.Entry == nil || !e.Progress.Done {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRequestsThatFail(t *testing.T) {
	refuse := func(*nodeagent.AskRequest) (*nodeagent.AskReply, error) {
		return nil, localapi.Refused("an API server is reached")
	}
	nobody := func(*nodeagent.AskRequest) (*nodeagent.AskReply, error) {
		return &nodeagent.AskReply{Unanswered: "not every member has joined"}, nil
	}
	cases := map[string]struct {
		reply    func(*nodeagent.AskRequest) (*nodeagent.AskReply, error)
		progress autonomy.Progress
		args     []string
		code     int
		want     string
	}{
		"refused":    {reply: refuse, args: []string{"drain", "node-a"}, code: 1, want: "an API server is reached"},
		"unanswered": {reply: nobody, args: []string{"drain", "node-a"}, code: 2, want: "not every member has joined"},
		"failed":     {progress: autonomy.Progress{Failed: true, Message: "the move was refused: full"}, args: []string{"move", "shop", "b"}, code: 1, want: "refused: full"},
		"too slow":   {progress: autonomy.Progress{Message: "waits"}, args: []string{"online", "shop", "--timeout", "700ms"}, code: 2, want: "explain rg/shop"},
		"no wait":    {progress: autonomy.Progress{Message: "waits"}, args: []string{"offline", "shop", "--wait=false"}, code: 0},
		"no group":   {args: []string{"move", "node/x", "b"}, code: 1, want: "names no group"},
		"no format":  {args: []string{"drain", "x", "-o", "xml"}, code: 1, want: "neither json nor yaml"},
		"no time":    {args: []string{"drain", "x", "--timeout", "0s"}, code: 1, want: "--timeout"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFakeAgent(t)
			if tc.reply != nil {
				f.reply = tc.reply
			}
			f.progress = func(int32) autonomy.Progress { return tc.progress }
			_, code, err := f.run(t, tc.args...)
			if code != tc.code || (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%d, %v; want %d, %q", code, err, tc.code, tc.want)
			}
		})
	}
}

func TestResumeCommand(t *testing.T) {
	f := newFakeAgent(t)
	if _, _, err := f.run(t, "resume", "qnode/node-a", "--failback", "Immediate"); err != nil {
		t.Fatal(err)
	}
	if q := f.asked.Load(); q.Name != "node-a" || q.Failback != "Immediate" || q.Verb != replica.VerbResume {
		t.Errorf("asked %+v", q)
	}
}

func TestExplainCommand(t *testing.T) {
	f := newFakeAgent(t)
	out, _, err := f.run(t, "explain", "rg/shop", "-n", "demo")
	if err != nil || !strings.Contains(out, "demo/shop: Online, on node-a") || !strings.Contains(out, "NodeDrained") {
		t.Errorf("%v: %s", err, out)
	}
	out, _, err = f.run(t, "explain", "shop", "--node", "node-b", "-o", "yaml")
	if err != nil || strings.Contains(out, "keeps it") || !strings.Contains(out, "is drained") {
		t.Errorf("%v: %s", err, out)
	}
	if _, code, err := f.run(t, "explain", "shop", "--node", "node-x"); code != 1 || !strings.Contains(err.Error(), "did you mean") {
		t.Errorf("%d, %v", code, err)
	}
}
