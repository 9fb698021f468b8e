package leadership

import (
	"context"
	"strings"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// Identity is a manager's identity: the name of its host, and something unique.
func Identity(host, unique string) string { return host + "_" + unique }

func hostOf(identity string) string {
	if i := strings.LastIndex(identity, "_"); i > 0 {
		return identity[:i]
	}
	return ""
}

// Hosts tells from the cached Nodes which hosts are lost. It keeps, for each manager that it was asked about, the view that was the
// highest when that manager was first seen to lead: only a newer one counts against it. So a manager that leads although its host is
// in no view (it reaches the API server over another network, or its host has not joined yet) is left alone.
type Hosts struct {
	// Reader reads from a cache.
	Reader client.Reader
	// Synced says that the cache is complete.
	Synced func() bool

	mu   sync.Mutex
	seen map[string]int64 // by identity
}

// Lost says that a quorate view that is newer than the manager's leadership lacks its host.
func (h *Hosts) Lost(ctx context.Context, identity string) bool {
	host := hostOf(identity)
	if host == "" || !h.Synced() {
		return false
	}
	var list v1alpha1.NodeList
	if err := h.Reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return false
	}
	node := find(list.Items, host)
	if node == nil || node.Status.ID == 0 {
		return false
	}
	var members []*v1alpha1.Node
	for i := range list.Items {
		if list.Items[i].Spec.ClusterName == node.Spec.ClusterName {
			members = append(members, &list.Items[i])
		}
	}
	view, _ := snapshot.HighestView(members)
	if view == nil {
		return false
	}
	return h.judge(identity, view, node.Status.ID)
}

func (h *Hosts) judge(identity string, view *v1alpha1.AgentView, id int32) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[string]int64{}
	}
	first, known := h.seen[identity]
	for _, m := range view.Members {
		if m.ID == id {
			h.seen = map[string]int64{identity: view.ID.Number} // one leads at a time: the others are forgotten
			return false
		}
	}
	if !known {
		h.seen = map[string]int64{identity: view.ID.Number}
		return false
	}
	return view.ID.Number > first
}

// find returns the node that is the host: by its own name, or by the name of its Kubernetes node.
func find(nodes []v1alpha1.Node, host string) *v1alpha1.Node {
	for i := range nodes {
		if nodes[i].Name == host || nodes[i].Spec.HostName == host {
			return &nodes[i]
		}
	}
	return nil
}
