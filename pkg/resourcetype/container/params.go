package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	"golang.org/x/sys/unix"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/cgroup"
	"github.com/quorate/quorate/pkg/resourcetype"
)

// maxID is how long containerd lets a container's id be.
const maxID = 76

// id of an instance's container: the resource's name for people, and its UID, which no other resource of any cluster has.
func id(inst *resourcetype.Instance) string {
	uid := filepath.Base(inst.Resource.UID)
	room := maxID - len(uid) - 1
	name := inst.Resource.Name
	if room <= 0 {
		return uid[:min(len(uid), maxID)]
	}
	return strings.TrimRight(name[:min(len(name), room)], "-.") + "-" + uid
}

func params(spec json.RawMessage) (*v1alpha1.Container, error) {
	var s v1alpha1.ResourceSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, fmt.Errorf("reading the spec: %w", err)
	}
	p := s.Container
	switch {
	case p == nil || p.Image == "":
		return nil, errors.New("the spec has no container.image")
	case p.ClusterSupport:
		return nil, errors.New("container.clusterSupport is not supported yet: remove it")
	}
	if p.Stop != nil && p.Stop.Signal != "" && unix.SignalNum(p.Stop.Signal) == 0 {
		return nil, fmt.Errorf("container.stop.signal: there is no signal %s", p.Stop.Signal)
	}
	return p, nil
}

// imageName is the full name of an image, as containerd knows it: postgres:17 is docker.io/library/postgres:17.
func imageName(image string) (string, error) {
	named, err := reference.ParseDockerRef(image)
	if err != nil {
		return "", fmt.Errorf("container.image %q is not the name of an image, such as docker.io/library/postgres:17: %w", image, err)
	}
	return named.String(), nil
}

// record is what the run state keeps of an instance. It is saved before anything is made.
type record struct {
	ID     string `json:"id"`
	Cgroup string `json:"cgroup"`
	// PID and StartTime (clock ticks since boot) are the first process; 0 before there is one.
	PID       int    `json:"pid,omitempty"`
	StartTime uint64 `json:"startTime,omitempty"`
	// Started says that the command was let run.
	Started bool `json:"started,omitempty"`
	// StopSignal is the image's own.
	StopSignal unix.Signal `json:"stopSignal,omitempty"`
	// Link is the host's end of a Bridged container's cable.
	Link string `json:"link,omitempty"`
}

// recorded returns the instance's record, with the id and the control group that it has or would be given.
func recorded(inst *resourcetype.Instance) (record, *cgroup.Cgroup, error) {
	var r record
	if _, err := inst.LoadData(&r); err != nil {
		return r, nil, err
	}
	if r.ID == "" {
		if inst.Resource.UID == "" {
			return r, nil, errors.New("the resource has no UID")
		}
		r.ID = id(inst)
	}
	if r.Cgroup == "" {
		if inst.CgroupRoot == "" {
			return r, nil, fmt.Errorf("the cgroup of %s is not known: no cgroup root", inst.Resource)
		}
		r.Cgroup = filepath.Join(inst.CgroupRoot, "container-"+filepath.Base(inst.Resource.UID))
	}
	return r, cgroup.At(r.Cgroup), nil
}

// labelsOf say in containerd whose container it is.
func labelsOf(inst *resourcetype.Instance) map[string]string {
	return map[string]string{
		labelUID: inst.Resource.UID, labelCluster: inst.ClusterID, labelNamespace: inst.Resource.Namespace,
		labelGroup: inst.Group.Name, labelResource: inst.Resource.Name,
	}
}
