package autonomy

import (
	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/replica"
)

// Session is the time in which one coordinator leads one view by the journal. Serial tells sessions of a view apart and only grows.
type Session struct {
	View   model.ViewID `json:"view"`
	Serial uint64       `json:"serial"`
}

// Message goes from one member to another; exactly one of Lead and Follow is set. It may be lost, and may come twice. Nobody changes
// what it points to.
type Message struct {
	Session Session `json:"session"`
	Lead    *Lead   `json:"lead,omitempty"`
	Follow  *Follow `json:"follow,omitempty"`
}

// Lead is what the coordinator tells a member. Positions count the entries of the session's journal from 0.
type Lead struct {
	// Running is false until all members have joined.
	Running bool `json:"running,omitempty"`
	// Copy is the merged state to begin from, for a member that has not begun.
	Copy *replica.Copy `json:"copy,omitempty"`
	// From is the position of the first of Entries.
	From    int             `json:"from,omitempty"`
	Entries []replica.Entry `json:"entries,omitempty"`
	// Commit is how many entries all members have on disk: they are obeyed. Trim is how many of them the API server has.
	Commit int `json:"commit,omitempty"`
	Trim   int `json:"trim,omitempty"`
	// Over ends the session: the API server has everything.
	Over bool `json:"over,omitempty"`
	// Lost says that some member has been in a view with a journal that is in nobody's hands now.
	Lost bool `json:"lost,omitempty"`
	// Replies answer what was asked on the member, but for what was taken: that is among the entries.
	Replies []Reply `json:"replies,omitempty"`
}

// Follow is a member's answer.
type Follow struct {
	// Copy and Journal are what the member knew when it joined; they are told until the session runs. Lost is Lead.Lost's.
	Copy    *replica.Copy   `json:"copy,omitempty"`
	Journal []replica.Entry `json:"journal,omitempty"`
	Lost    bool            `json:"lost,omitempty"`
	// Begun says that it has taken the merged state over, Has is how many entries it has on disk.
	Begun bool `json:"begun,omitempty"`
	Has   int  `json:"has,omitempty"`
	// Trim is how many entries the API server has, as far as this member knows.
	Trim int `json:"trim,omitempty"`
	// Cleared says that it goes by the API server again.
	Cleared bool `json:"cleared,omitempty"`
	// Kept is set by the member that holds the witness.
	Kept *KeptWord `json:"kept,omitempty"`
	// Report is what is on the member now.
	Report *Report `json:"report,omitempty"`
	// Asks are what operators ask on the member's host, until it has the answers.
	Asks []Ask `json:"asks,omitempty"`
}

// Report is what a member's agent would write to the API server.
type Report struct {
	// Serial grows with each report of an agent's process.
	Serial    uint64                `json:"serial"`
	Agent     *v1alpha1.AgentStatus `json:"agent"`
	Resources []ResourceReport      `json:"resources,omitempty"`
}

// ResourceReport is the status of one resource that the member owns, or was the last to own.
type ResourceReport struct {
	UID    string                  `json:"uid"`
	Status v1alpha1.ResourceStatus `json:"status"`
}

// Envelope is a message with its receiver.
type Envelope struct {
	To      model.NodeID
	Message Message
}
