package nodeagent

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/autonomy"
	"github.com/quorate/quorate/pkg/explain"
	"github.com/quorate/quorate/pkg/localapi"
	"github.com/quorate/quorate/pkg/replica"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Operations of the agent's socket that steer the cluster while no API server is reached.
const (
	// OpAsk takes an AskRequest and returns an AskReply.
	OpAsk = "cluster/ask"
	// OpProgress takes an AskReply and returns an autonomy.Progress.
	OpProgress = "cluster/progress"
	// OpExplain takes an ExplainRequest and returns an explain.Explained.
	OpExplain = "cluster/explain"
)

// maxAskWait bounds AskRequest.Within: a call of the socket lasts a minute.
const maxAskWait = 50 * time.Second

// AskRequest is what an operator wants of a group or a node.
type AskRequest struct {
	// ID is made by the command: asked again with the same one, nothing more happens.
	ID   string       `json:"id"`
	Verb replica.Verb `json:"verb"`
	// Namespace and Name are of a group, or Name is of a node.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Target is where a group is to go: a node, or best.
	Target string `json:"target,omitempty"`
	// Failback is what a node that is resumed gets as failbackOnResume; empty leaves it.
	Failback string `json:"failback,omitempty"`
	// Within is how long the coordinator may take to answer; 0 means 10 s.
	Within metav1.Duration `json:"within,omitempty"`
}

// AskReply is a request that was taken: it is on the disks of all members of the view, and the coordinator decides what follows.
type AskReply struct {
	Entry *replica.Entry `json:"entry,omitempty"`
	// Unanswered says that no answer came in time, and why. What was asked for may still be done.
	Unanswered string `json:"unanswered,omitempty"`
}

// ExplainRequest names the group to explain.
type ExplainRequest struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Within is how long the coordinator may take to answer; 0 means 2 s.
	Within metav1.Duration `json:"within,omitempty"`
}

func (a *agent) serveHostCommands(server *localapi.Server) {
	localapi.Act(server, OpAsk, a.askCluster)
	localapi.Query(server, OpProgress, a.askProgress)
	localapi.Query(server, OpExplain, a.explainGroup)
}

func (a *agent) askCluster(ctx context.Context, caller localapi.Caller, q *AskRequest) (*AskReply, error) {
	if err := replica.CheckRequestID(q.ID); err != nil {
		return nil, localapi.Invalid("the request has no usable id: %v", err)
	}
	ask := autonomy.Ask{
		ID: q.ID, Verb: q.Verb, Namespace: q.Namespace, Name: q.Name, Target: q.Target, Failback: q.Failback, Time: time.Now().Truncate(time.Millisecond),
		By: replica.Asker{User: caller.User, UID: caller.UID, Host: a.opts.Node},
	}
	if err := checkAsk(&ask); err != nil {
		return nil, err
	}
	got, err := a.answerOf(ctx, ask, q.Within.Duration, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &AskReply{Entry: got.Entry, Unanswered: got.Held}, nil
}

// checkAsk refuses what no cluster would take.
func checkAsk(a *autonomy.Ask) error {
	switch a.Verb {
	case replica.VerbMove, replica.VerbOnline, replica.VerbOffline, replica.VerbDrain, replica.VerbResume:
	default:
		return localapi.Invalid("%q is not known: this agent takes move, online, offline, drain and resume", a.Verb)
	}
	switch {
	case a.Name == "":
		return localapi.Invalid("a name is needed")
	case (a.Verb == replica.VerbMove) != (a.Target != ""):
		return localapi.Invalid("a move needs a target, a node or best, and nothing else takes one")
	case a.Failback != "" && a.Verb != replica.VerbResume:
		return localapi.Invalid("failback is for resume only")
	case a.Failback != "":
		if err := autonomy.CheckFailback(a.Failback); err != nil {
			return localapi.Invalid("%v", err)
		}
	}
	return nil
}

// answerOf asks and waits. A refusal, and that nothing is decided here, are errors; nobody's answer in time is an answer with Held.
func (a *agent) answerOf(ctx context.Context, ask autonomy.Ask, within, otherwise time.Duration) (*answer, error) {
	if within <= 0 {
		within = otherwise
	}
	ctx, cancel := context.WithTimeout(ctx, min(within, maxAskWait))
	defer cancel()
	got := a.journal.ask(ctx, ask)
	switch {
	case got.Refused != "":
		return nil, localapi.Refused("%s", got.Refused)
	case got.Hold == autonomy.HoldReached:
		return nil, localapi.Refused("%s: use %s", got.Held, withKubectl(&ask))
	case got.Hold != "" && got.Hold != autonomy.HoldSession:
		return nil, localapi.Refused("%s", got.Held)
	case got.Hold == autonomy.HoldSession && got.Held == "":
		got.Held = "the view's coordinator has not answered"
	}
	return &got, nil
}

// withKubectl is the command that does the same where the API server is reached.
func withKubectl(a *autonomy.Ask) string {
	group := "rg/" + a.Name
	if a.Namespace != "" {
		group += " -n " + a.Namespace
	}
	patch := func(object, spec string) string {
		return fmt.Sprintf(`kubectl patch %s --type merge -p '{"spec":{%s}}'`, object, spec)
	}
	switch a.Verb {
	case replica.VerbMove:
		return fmt.Sprintf("kubectl annotate %s %s=%s", group, v1alpha1.MoveToAnnotation, a.Target)
	case replica.VerbOnline:
		return patch(group, `"desiredState":"Online"`)
	case replica.VerbOffline:
		return patch(group, `"desiredState":"Offline"`)
	case replica.VerbDrain:
		return patch("qnode/"+a.Name, `"availability":"Drained"`)
	case replica.VerbResume:
		failback := ""
		if a.Failback != "" {
			failback = fmt.Sprintf(`,"failbackOnResume":%q`, a.Failback)
		}
		return patch("qnode/"+a.Name, `"availability":"Available"`+failback)
	}
	return "kubectl quorate explain " + group
}

// askProgress says how far a request has come, in what this node goes by: the journal, or the API server when that is back.
func (a *agent) askProgress(ctx context.Context, q *AskReply) (*autonomy.Progress, error) {
	if q.Entry == nil || q.Entry.Request == nil {
		return nil, localapi.Invalid("an entry with a request is needed")
	}
	if err := q.Entry.Check(); err != nil {
		return nil, localapi.Invalid("%v", err)
	}
	o, err := a.clusterNow(ctx)
	if err != nil {
		return nil, err
	}
	p := autonomy.ProgressOf(q.Entry, o)
	return &p, nil
}

// clusterNow is the cluster as this node goes by it.
func (a *agent) clusterNow(ctx context.Context) (*snapshot.Objects, error) {
	if orders := a.journal.gate.now(); orders.pending {
		if orders.journal == nil {
			return nil, localapi.Refused("this host has no copy of the cluster's state yet")
		}
		return objectsOf(ctx, orders.journal, a.opts.Cluster)
	}
	return a.apiObjects(ctx)
}

func (a *agent) explainGroup(ctx context.Context, q *ExplainRequest) (*explain.Explained, error) {
	if q.Name == "" {
		return nil, localapi.Invalid("the name of a group is needed")
	}
	ask := autonomy.Ask{
		ID: fmt.Sprintf("%sexplain-%x", replica.RequestPrefix, time.Now().UnixNano()), Verb: autonomy.VerbExplain, Namespace: q.Namespace, Name: q.Name,
		By: replica.Asker{Host: a.opts.Node}, Time: time.Now(),
	}
	got, err := a.answerOf(ctx, ask, q.Within.Duration, 2*time.Second)
	switch {
	case err != nil:
		return nil, err
	case got.Explained == nil:
		return nil, localapi.Refused("%s: try again", got.Held)
	}
	return got.Explained, nil
}
