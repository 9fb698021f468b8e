package runstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/quorate/quorate/pkg/lifecycle"
	"github.com/quorate/quorate/pkg/model"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// version is the format of the records. An agent refuses to adopt records of a later one, and the guardian, which is of the same
// binary, never meets one.
const version = 1

// Resource is the record of one resource: enough to terminate it without anything else.
type Resource struct {
	Version  int                   `json:"version"`
	Resource resourcetype.Identity `json:"resource"`
	Group    resourcetype.Identity `json:"group"`
	Type     string                `json:"type"`
	// Who runs it.
	Cluster    string           `json:"cluster"`
	ClusterID  string           `json:"clusterID"`
	NodeName   string           `json:"nodeName"`
	Node       model.NodeID     `json:"node"`
	Generation model.Generation `json:"generation"`
	Epoch      model.Epoch      `json:"epoch"`
	BootID     string           `json:"bootID"`
	// Spec is the v1alpha1.ResourceSpec with which it was started; Data is the type's own.
	Spec        json.RawMessage                     `json:"spec"`
	Data        json.RawMessage                     `json:"data,omitempty"`
	Networks    map[string]resourcetype.NetworkInfo `json:"networks,omitempty"`
	NetworkName string                              `json:"networkName,omitempty"`
	// FailToken is the simulated failure that was acted on last, or that was there when it was started.
	FailToken string            `json:"failToken,omitempty"`
	Addresses []netip.Addr      `json:"addresses,omitempty"`
	Disks     map[string]string `json:"disks,omitempty"`
	// DependsOn are the UIDs of the resources that it uses, for the order in which all is stopped.
	DependsOn []string `json:"dependsOn,omitempty"`
	// Machine is where its lifecycle stood; the phase in it is the intent.
	Machine lifecycle.SavedResource `json:"machine"`
}

// Live reports whether anything of the resource may exist on the host (a parked reservation does not count).
func (r *Resource) Live() bool { return r.Machine.Phase != lifecycle.PhaseIdle }

// Group is the record of one group.
type Group struct {
	Version    int                   `json:"version"`
	Group      resourcetype.Identity `json:"group"`
	Generation model.Generation      `json:"generation"`
	BootID     string                `json:"bootID"`
	// Machine is where its lifecycle stood.
	Machine lifecycle.SavedGroup `json:"machine"`
	// Desired is the last assignment in the monitor's own words.
	Desired json.RawMessage `json:"desired,omitempty"`
}

// errGarbled is wrapped by all errors about a record's content.
var errGarbled = errors.New("garbled run state")

// ParseResource reads a resource's record.
func ParseResource(raw []byte) (*Resource, error) {
	var r Resource
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbled, err)
	}
	switch {
	case r.Version != version:
		return nil, fmt.Errorf("%w: version %d, not %d", errGarbled, r.Version, version)
	case !validUID(r.Resource.UID):
		return nil, fmt.Errorf("%w: resource uid %q", errGarbled, r.Resource.UID)
	case !validUID(r.Group.UID):
		return nil, fmt.Errorf("%w: group uid %q", errGarbled, r.Group.UID)
	case r.Type == "":
		return nil, fmt.Errorf("%w: no type", errGarbled)
	}
	return &r, nil
}

// ParseGroup reads a group's record.
func ParseGroup(raw []byte) (*Group, error) {
	var g Group
	if err := json.Unmarshal(raw, &g); err != nil {
		return nil, fmt.Errorf("%w: %w", errGarbled, err)
	}
	switch {
	case g.Version != version:
		return nil, fmt.Errorf("%w: version %d, not %d", errGarbled, g.Version, version)
	case !validUID(g.Group.UID):
		return nil, fmt.Errorf("%w: group uid %q", errGarbled, g.Group.UID)
	}
	return &g, nil
}

// validUID keeps a uid usable as a file name: the API server makes UUIDs, tests what they like.
func validUID(uid string) bool {
	return uid != "" && len(uid) <= 128 && uid != "." && uid != ".." && !strings.ContainsAny(uid, "/\x00")
}
