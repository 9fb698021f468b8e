package snapshot

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// Assignment translates a group's assignment; nil is a group that was never assigned.
func Assignment(a *v1alpha1.Assignment) model.Assignment {
	if a == nil {
		return model.Assignment{}
	}
	out := model.Assignment{
		Node:       a.Node,
		ID:         model.NodeID(a.NodeID),
		Generation: model.Generation(a.Generation),
		Epoch:      model.Epoch(a.Epoch),
		View:       ViewID(a.ViewID),
		Reason:     model.Reason(a.Reason),
		Target:     a.Target,
	}
	for _, u := range a.Unproven {
		out.Unproven = append(out.Unproven, model.Owner{
			Node: u.Node, ID: model.NodeID(u.NodeID), Generation: model.Generation(u.Generation), Epoch: model.Epoch(u.Epoch),
		})
	}
	if a.Time != nil {
		out.Time = a.Time.Time
	}
	return out
}

// APIAssignment is the inverse of Assignment. Times are kept to the microsecond, as the API server keeps them.
func APIAssignment(a model.Assignment) *v1alpha1.Assignment {
	if a.Epoch == 0 {
		return nil
	}
	out := &v1alpha1.Assignment{
		Node:       a.Node,
		NodeID:     int32(a.ID),
		Generation: int64(a.Generation),
		Epoch:      int64(a.Epoch),
		ViewID:     APIViewID(a.View),
		Reason:     string(a.Reason),
		Target:     a.Target,
	}
	for _, u := range a.Unproven {
		out.Unproven = append(out.Unproven, v1alpha1.UnprovenOwner{
			Node: u.Node, NodeID: int32(u.ID), Generation: int64(u.Generation), Epoch: int64(u.Epoch),
		})
	}
	if !a.Time.IsZero() {
		out.Time = &metav1.MicroTime{Time: a.Time.Truncate(time.Microsecond)}
	}
	return out
}

// epoch reads an epoch of the API. One that is out of range counts as the largest, which policy refuses to go beyond (rule O7).
func epoch(e int64) model.Epoch {
	switch {
	case e < 0:
		return 0
	case e > int64(model.MaxEpoch):
		return model.MaxEpoch
	}
	return model.Epoch(e)
}
