// Package replay keeps the inputs of decisions, so that a decision can be made again later, elsewhere and as often as one likes: what
// policy.Plan was given, and what it decided. A file is JSON, compressed with gzip.
package replay

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/conversion"

	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/policy"
	"github.com/quorate/quorate/pkg/version"
)

// Record is one call of policy.Plan.
type Record struct {
	// Version is that of the program that decided.
	Version  string          `json:"version"`
	Time     time.Time       `json:"time"`
	Snapshot *model.Snapshot `json:"snapshot"`
	// Decisions are what was decided, in its order.
	Decisions []policy.Decision `json:"decisions"`
}

// New records a decision. It shares everything with its arguments, which must not be changed any more.
func New(s *model.Snapshot, now time.Time, decisions []policy.Decision) *Record {
	return &Record{Version: version.Version, Time: now, Snapshot: s, Decisions: decisions}
}

// Moves says that a group was given to a node, taken from one, or given up: only such decisions are worth keeping.
func Moves(decisions []policy.Decision) bool {
	return slices.ContainsFunc(decisions, func(d policy.Decision) bool {
		switch d.Kind {
		case policy.Settle, policy.Recover, policy.FinishMove:
			return false
		case policy.Assign, policy.Withdraw, policy.GiveUp, policy.Balance:
			return true
		}
		return true
	})
}

// Write writes the record.
func (r *Record) Write(w io.Writer) error {
	z := gzip.NewWriter(w)
	if err := json.NewEncoder(z).Encode(r); err != nil {
		return fmt.Errorf("encoding the record: %w", err)
	}
	return z.Close()
}

// maxRecord bounds what is read of a record, uncompressed: a hundred times what 10,000 groups take.
const maxRecord = 2 << 30

// Read reads a record, compressed or not.
func Read(from io.Reader) (*Record, error) {
	content, err := io.ReadAll(io.LimitReader(from, maxRecord))
	if err != nil {
		return nil, fmt.Errorf("reading the record: %w", err)
	}
	var text io.Reader = bytes.NewReader(content)
	if bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(text)
		if err != nil {
			return nil, fmt.Errorf("reading the record: %w", err)
		}
		text = io.LimitReader(z, maxRecord)
	}
	var r Record
	if err := json.NewDecoder(text).Decode(&r); err != nil {
		return nil, fmt.Errorf("this is no record of a decision: %w", err)
	}
	switch {
	case r.Snapshot == nil:
		return nil, errors.New("this is no record of a decision: it has no snapshot")
	case r.Time.IsZero():
		return nil, errors.New("this is no record of a decision: it has no time")
	}
	return &r, nil
}

// Difference is a group about which another decision is made now.
type Difference struct {
	Group model.GroupKey `json:"group"`
	// Recorded and Now are nil where there is no decision.
	Recorded *policy.Decision `json:"recorded"`
	Now      *policy.Decision `json:"now"`
}

// Replay decides again, and returns what differs from what was recorded, in order of the groups' names.
func (r *Record) Replay() (policy.Result, []Difference) {
	result := policy.Plan(r.Snapshot, r.Time)
	before, after := byGroup(r.Decisions), byGroup(result.Decisions)
	var keys []model.GroupKey
	for _, list := range [][]policy.Decision{r.Decisions, result.Decisions} {
		for i := range list {
			keys = append(keys, list[i].Group)
		}
	}
	slices.SortFunc(keys, func(a, b model.GroupKey) int { return strings.Compare(a.String(), b.String()) })
	var differences []Difference
	for _, key := range slices.Compact(keys) {
		if !alike.DeepEqual(before[key], after[key]) {
			differences = append(differences, Difference{Group: key, Recorded: before[key], Now: after[key]})
		}
	}
	return result, differences
}

func byGroup(list []policy.Decision) map[model.GroupKey]*policy.Decision {
	index := make(map[model.GroupKey]*policy.Decision, len(list))
	for i := range list {
		index[list[i].Group] = &list[i]
	}
	return index
}

// alike compares decisions as values: a time is the same in any zone, and a list that is empty the same as none.
var alike = conversion.EqualitiesOrDie(func(a, b time.Time) bool { return a.Equal(b) })
