package whatif

import (
	"slices"
	"strings"

	"github.com/quorate/quorate/pkg/snapshot"
)

// Complete offers the events of a kind that could happen to the objects, for shell completion.
func Complete(o *snapshot.Objects, kind EventKind) []string {
	var values []string
	nodes := objectNames(o, "Node")
	switch kind {
	case NodeDown, NodeUp, Drain, Resume:
		values = nodes
	case ResourceFail:
		values = objectNames(o, "Resource")
	case MoveGroup:
		for _, g := range objectNames(o, "ResourceGroup") {
			for _, n := range append([]string{"best"}, nodes...) {
				values = append(values, g+":"+n)
			}
		}
	case Delete:
		for _, k := range []string{"Node", "ResourceGroup", "Resource", "QuorumConfig", "Cluster"} {
			for _, name := range objectNames(o, k) {
				values = append(values, strings.ToLower(k)+"/"+name)
			}
		}
	case Wait:
		values = []string{"1m", "1h", "6h", "24h"}
	case Apply, At:
	}
	out := make([]string, 0, len(values))
	for _, v := range values {
		out = append(out, string(kind)+"="+v)
	}
	return slices.Clip(out)
}
