package fenceplan

import (
	"time"

	"github.com/quorate/quorate/pkg/model"
)

// Bounds of what may happen.
const (
	// Together is how many fencings one fencer runs at a time.
	Together = 4
	// AttemptsPerHour bounds how often one node is fenced, with or without success.
	AttemptsPerHour = 12
	// CyclesPerHour is how often one node is switched on again in an hour.
	CyclesPerHour = 3
	// firstPause and longestPause are the waits after the first and after many failures.
	firstPause, longestPause = 10 * time.Second, 5 * time.Minute
	hour                     = time.Hour
)

// Policy says which losses of a node are a reason to cut its power.
type Policy string

// Policies.
const (
	// WhenNeeded fences when a group waits for proof.
	WhenNeeded Policy = "WhenNeeded"
	// Always fences whenever the node is lost while it owns a group.
	Always Policy = "Always"
)

// State is how a fencing stands.
type State string

// States of a fencing.
const (
	Running State = "Running"
	Fenced  State = "Fenced"
	Failed  State = "Failed"
)

// Facts are all that a decision is made from. The order of nodes and groups does not matter.
type Facts struct {
	Self model.NodeID
	// Acting says that this node may act in View by its own clock (R7).
	Acting bool
	View   []Member
	// Maintenance of the whole cluster.
	Maintenance bool
	Nodes       []Node
	Groups      []Group
}

// Member is a member of the view.
type Member struct {
	model.Member
	// ReachesAPI says that the member can learn who is to be fenced, and tell that it was done.
	ReachesAPI bool
}

// Node is a node of the cluster.
type Node struct {
	ID   model.NodeID
	Name string
	// Generation is its newest life that was seen in a view; 0 when none was.
	Generation model.Generation
	// Left says that it took its leave: nothing of it runs.
	Left        bool
	Maintenance bool
	Policy      Policy
	// StaysOff says that its power stays off after a fencing.
	StaysOff bool
	// Fencers are the nodes that can fence it, each with the levels that it can use, in order.
	Fencers map[model.NodeID][]int
	// Records are what the nodes say that they did about it.
	Records []Record
	// Confirmed is the life of which an operator said that it is off; 0 for none.
	Confirmed model.Generation
}

// Record is what one node says that it did about another.
type Record struct {
	By         model.NodeID
	Generation model.Generation
	State      State
	// Failures counts the failed attempts on that generation.
	Failures int
	// Attempts are the latest attempts on any generation, oldest first; Cycles those after which it was switched on again.
	Attempts, Cycles []time.Time
}

// Group is what a group's assignment says.
type Group struct {
	Name string
	// Owner is the node that the group is assigned to; 0 for none. OwnerLife is in which life.
	Owner model.Member
	// Unproven are the earlier owners (O2).
	Unproven []model.Member
	// NeedsFencing says that something of it has neither an enforced disk nor a guarded address (O13).
	NeedsFencing bool
	// Proven says that the owner has all the proof that it needs.
	Proven      bool
	Maintenance bool
}

// Order is a fencing that this node is to carry out now.
type Order struct {
	Target model.Member
	Node   string
	// Levels are what to try, in order.
	Levels []int
	// PowerOn says that it is to be switched on again afterwards.
	PowerOn bool
	// Reason is for people.
	Reason string
}

// Verdict is what was decided about a lost node, for people.
type Verdict struct {
	Node string
	// Code is a word: Fence, NotNeeded, NoLevels and so on.
	Code    string
	Message string
}

// Codes of verdicts.
const (
	CodeFence       = "Fence"
	CodeNotNeeded   = "NotNeeded"
	CodeLeft        = "Left"
	CodeMaintenance = "Maintenance"
	CodeDone        = "Done"
	CodeNoFencer    = "NoFencer"
	CodeElsewhere   = "Elsewhere"
	CodeRunning     = "Running"
	CodePause       = "Pause"
	CodeTooOften    = "TooOften"
	CodeQueue       = "Queue"
)

// Result is a decision.
type Result struct {
	Orders []Order
	// Verdicts has one entry for each lost node, by id.
	Verdicts []Verdict
	// Next is when to decide again although nothing changes; zero for never.
	Next time.Time
}
