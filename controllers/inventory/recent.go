package inventory

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Recent remembers what a reconciler has written until the cache shows it, so that a decision is never made twice from the state
// before the first. Every remembered write must have carried a resourceVersion. The zero value is ready to use.
type Recent[T client.Object] struct {
	mu      sync.Mutex
	entries map[types.UID]*recentEntry[T]
}

type recentEntry[T client.Object] struct {
	object     T
	superseded map[string]bool // resourceVersions that the write, or an earlier one, has replaced
}

// Wrote remembers that object has replaced the version before of itself.
func (r *Recent[T]) Wrote(before string, object T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries == nil {
		r.entries = map[types.UID]*recentEntry[T]{}
	}
	entry := r.entries[object.GetUID()]
	if entry == nil || !entry.superseded[before] && entry.object.GetResourceVersion() != before {
		entry = &recentEntry[T]{superseded: map[string]bool{}}
		r.entries[object.GetUID()] = entry
	}
	entry.superseded[before] = true
	entry.object = object
}

// Newest returns what was written when the cached object is still a version that the write replaced, else the cached object.
// The result is shared: it must not be changed.
func (r *Recent[T]) Newest(cached T) T {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := r.entries[cached.GetUID()]
	if entry == nil {
		return cached
	}
	if entry.superseded[cached.GetResourceVersion()] {
		return entry.object
	}
	delete(r.entries, cached.GetUID())
	return cached
}

// Forget drops what is remembered of an object: it is gone, or a write of it has lost a conflict, so the cache knows better or soon
// will.
func (r *Recent[T]) Forget(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.entries, uid)
}
