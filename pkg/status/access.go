package status

import (
	"net/netip"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
)

// access is where the cluster's own address and name are; nil when it has none, nor has still to lose it.
func access(o *snapshot.Objects) *v1alpha1.ClusterAccessStatus {
	group := o.CoreGroup()
	if group == nil {
		if o.Cluster.Spec.Access == nil {
			return nil
		}
		return &v1alpha1.ClusterAccessStatus{Message: "the core group is still to be made"}
	}
	st := &v1alpha1.ClusterAccessStatus{Group: group.Namespace + "/" + group.Name, State: group.Status.State}
	for _, r := range o.ResourcesByGroup()[snapshot.Key(group)] {
		if r.Status.State != v1alpha1.ResourceOnline {
			if st.Message == "" && r.Status.Message != "" {
				st.Message = bounded(r.Name + ": " + r.Status.Message)
			}
			continue
		}
		switch {
		case r.Spec.IPAddress != nil:
			if prefix, err := netip.ParsePrefix(r.Spec.IPAddress.Address); err == nil {
				st.Node, st.Address = r.Status.Node, prefix.Addr().String()
			}
		case r.Spec.NetworkName != nil:
			st.NetworkName = r.Spec.NetworkName.Name
		}
	}
	return st
}
