package snapshot

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/model"
)

// MaxForeignKeys is how many keys one act of clearing may name, maxToken how long its token may be: the bounds of the API.
const (
	MaxForeignKeys = 64
	maxToken       = 63
)

// ParseClearForeign reads KEY[,KEY...] or KEY[,KEY...]/TOKEN, the value of the annotation that has foreign keys cleared. Keys come out
// sorted, each once, as 0x and 16 digits.
func ParseClearForeign(value string) (keys []string, token string, err error) {
	text, token, _ := strings.Cut(strings.TrimSpace(value), "/")
	for part := range strings.SplitSeq(text, ",") {
		digits, ok := strings.CutPrefix(strings.TrimSpace(part), "0x")
		n, bad := strconv.ParseUint(digits, 16, 64)
		if !ok || bad != nil || n == 0 {
			return nil, "", fmt.Errorf("%q is not KEY[,KEY...] or KEY[,KEY...]/TOKEN, with keys such as 0x1a2b", value)
		}
		keys = append(keys, fmt.Sprintf("0x%016x", n))
	}
	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) > MaxForeignKeys || len(token) > maxToken {
		return nil, "", fmt.Errorf("%d keys and a token of %d bytes are too much: at most %d and %d", len(keys), len(token), MaxForeignKeys, maxToken)
	}
	return keys, token, nil
}

// ForeignClearer says which node is to remove foreign keys from a disk resource's disk (O20), or why none may: the disk is online, or is
// being taken offline, or nobody sees it. only limits the choice to one node; empty leaves it open: then the group's owner comes first,
// since it is the one that needs the disk, and then the lowest id.
func ForeignClearer(o *Objects, r *v1alpha1.Resource, only string) (node *v1alpha1.Node, refusal string) {
	disk, view := Disk(r), o.View()
	at := slices.IndexFunc(o.Groups, func(g *v1alpha1.ResourceGroup) bool { return Key(g) == GroupKeyOf(r) })
	switch {
	case disk == "":
		return nil, fmt.Sprintf("a resource of type %s has no disk", r.Spec.Type)
	case at < 0:
		return nil, fmt.Sprintf("its group %s does not exist, so no cluster runs it", r.Spec.GroupName)
	case view == nil:
		return nil, "no quorate view of the cluster is reported, so nobody knows whether the disk is online"
	}
	if online := onlineWith(o, disk, view); online != "" {
		return nil, online
	}
	group := o.Groups[at]
	owner := Assignment(group.Status.Assignment).Node
	possible := PossibleOwners(o.ResourcesByGroup()[Key(group)])
	var blind []string
	for _, n := range ownerFirst(o.Nodes, owner) {
		if !view.Has(model.NodeID(n.Status.ID)) || only != "" && n.Name != only || possible != nil && !slices.Contains(possible, n.Name) {
			continue
		}
		if !sees(n, disk) {
			blind = append(blind, n.Name)
			continue
		}
		return n, ""
	}
	return nil, nobodyClears(disk, blind, only)
}

func nobodyClears(disk string, blind []string, only string) string {
	switch {
	case len(blind) > 0:
		return fmt.Sprintf("%s cannot be seen on %s (status.agent.disks and problems of the Node say why)", disk, strings.Join(blind, ", "))
	case only != "":
		return fmt.Sprintf("node %s is not in the quorate view, or is no possible owner of the group", only)
	}
	return "no possible owner of the group is in the quorate view"
}

// ownerFirst has the owner before the others, which are in the order of their ids.
func ownerFirst(nodes []*v1alpha1.Node, owner string) []*v1alpha1.Node {
	last := func(n *v1alpha1.Node) int {
		if n.Name == owner {
			return 0
		}
		return 1
	}
	return slices.SortedStableFunc(slices.Values(nodes), func(a, b *v1alpha1.Node) int {
		return cmp.Or(cmp.Compare(last(a), last(b)), cmp.Compare(a.Status.ID, b.Status.ID))
	})
}

// onlineWith names a resource on the same disk that serves, or is not offline yet, on a node of the view; "" when there is none. A start
// that fails on the foreign key is OnlinePending again and again: the host itself sees to it that nothing uses the disk then (O17).
func onlineWith(o *Objects, disk string, view *model.View) string {
	for _, r := range o.Resources {
		st := r.Status
		if Disk(r) != disk || st.State != v1alpha1.ResourceOnline && st.State != v1alpha1.ResourceOfflinePending {
			continue
		}
		if n := o.Node(st.Node); n != nil && view.Has(model.NodeID(n.Status.ID)) {
			return fmt.Sprintf("resource %s/%s is %s on %s: take its group offline first (spec.desiredState: Offline)", r.Namespace, r.Name, st.State, st.Node)
		}
	}
	return ""
}

func sees(n *v1alpha1.Node, disk string) bool {
	if n.Status.Agent == nil {
		return false
	}
	return slices.ContainsFunc(n.Status.Agent.Disks, func(d v1alpha1.AgentDisk) bool { return d.Device == disk && d.Visible })
}
