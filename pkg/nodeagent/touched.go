package nodeagent

import (
	"fmt"
	"maps"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

// touch notes that an object has changed; nil stands for all.
func (k *keeper) touch(obj client.Object) {
	k.mu.Lock()
	switch o := obj.(type) {
	case *v1alpha1.ResourceGroup:
		k.dirty[client.ObjectKeyFromObject(o)] = true
	case *v1alpha1.Resource:
		k.dirty[client.ObjectKey{Namespace: o.Namespace, Name: o.Spec.GroupName}] = true
	case *v1alpha1.Node, *v1alpha1.Cluster:
		// Their statuses change often and say nothing about groups; their specs may (maintenance, timing).
		name := fmt.Sprintf("%T %s", o, o.GetName())
		k.all = k.all || k.specs[name] != o.GetGeneration()
		k.specs[name] = o.GetGeneration()
	case nil:
		k.all = true
	}
	k.mu.Unlock()
	k.wakeUp()
}

// takeDirty returns what has been touched since the last time.
func (k *keeper) takeDirty() (all bool, dirty map[client.ObjectKey]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, dirty = k.all, k.dirty
	k.all, k.dirty = false, map[client.ObjectKey]bool{}
	return all, dirty
}

// giveBack has the next pass look at what this one did not.
func (k *keeper) giveBack(all bool, dirty map[client.ObjectKey]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = k.all || all
	maps.Copy(k.dirty, dirty)
}

// retry looks at a group again a little later; nil is all of them.
func (k *keeper) retry(err error, key *client.ObjectKey) {
	k.log.Info("A group is looked at again", "group", key, "reason", err.Error())
	k.mu.Lock()
	defer k.mu.Unlock()
	if key == nil {
		k.all = true
	} else {
		k.dirty[*key] = true
	}
	k.lookAgain(time.Second)
}
