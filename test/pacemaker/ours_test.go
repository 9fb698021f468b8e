package pacemaker

import (
	"fmt"

	importer "github.com/quorate/quorate/pkg/importer/pacemaker"
	"github.com/quorate/quorate/pkg/policy/polictest"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/validation"
)

// ours imports the cluster and has Quorate decide in a state: from nothing when nobody is down, else after the death of a node. It
// returns the owners by the resources' names.
func (c *Cluster) ours(state State) (map[string]string, error) {
	result, err := importer.Import(c.CIB(State{}), importer.Options{})
	if err != nil {
		return nil, err
	}
	objects := result.Snapshot()
	s := snapshot.Build(objects, snapshot.Options{Invalid: validation.Check(objects).InvalidGroups(objects)})
	for i := range s.Groups {
		if s.Groups[i].Invalid != "" {
			return nil, fmt.Errorf("the import is not usable: %s", s.Groups[i].Invalid)
		}
	}
	groupOf := c.groups()
	before := map[string]string{}
	for resource, owner := range state.Owners {
		if c.whole(groupOf[resource], state.Owners) { // half a group is nothing that Quorate could have come to
			before[groupOf[resource]] = owner
		}
	}
	env := polictest.Load(s, before)
	for node := range state.Down {
		if _, err := env.Do("kill " + node); err != nil {
			return nil, err
		}
	}
	if _, err := env.Do("run"); err != nil {
		return nil, err
	}
	if wrong := env.World.Check(); len(wrong) > 0 {
		return nil, fmt.Errorf("%v", wrong)
	}
	owners := map[string]string{}
	for group, owner := range env.World.Owners() {
		for resource, g := range groupOf {
			if g == group {
				owners[resource] = owner
			}
		}
	}
	return owners, nil
}

// groups are the names of the ResourceGroups that the resources are in after the import.
func (c *Cluster) groups() map[string]string {
	groups := map[string]string{}
	for _, r := range c.Resources {
		groups[r.Name] = r.Name
	}
	for _, t := range c.Together {
		groups[t.Then] = t.First
	}
	return groups
}
