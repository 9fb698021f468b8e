package nodeagent

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/quorate/quorate/api/v1alpha1"
)

// echoPatience is how long the cache may take to show an own write before the API server is believed to have forgotten it.
const echoPatience = 3 * time.Second

// echo tells when the API server no longer shows what was written to it: it was restored from a backup. Without another write it would
// never hear again of what has not changed since (O6: the controllers wait for the reports of all members). The zero value is ready.
type echo struct {
	at time.Time
	// version is the resourceVersion for which the loss has been answered: one that stays is no reason to write again and again.
	version string
}

func (e *echo) wrote(now time.Time) { e.at = now }

// missing is asked when the object, at this resourceVersion, does not show the last write. It returns how long to wait for it, or
// that it is lost, once for each resourceVersion.
func (e *echo) missing(version string, now time.Time) (wait time.Duration, lost bool) {
	if wait := echoPatience - now.Sub(e.at); wait > 0 {
		return wait, false
	}
	lost = e.version != version
	e.version = version
	return 0, lost
}

// setBack says that the API server has lost the last status of the resource that was written; shown is what it has of this node's words.
func (p *publisher) setBack(key client.ObjectKey, object *v1alpha1.Resource, shown *v1alpha1.ResourceStatus) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.written[key]
	if equality.Semantic.DeepEqual(*shown, last.status) {
		return false
	}
	wait, lost := last.echo.missing(object.ResourceVersion, time.Now())
	if wait > 0 {
		p.resources.AddAfter(key, wait)
	}
	p.written[key] = last
	return lost
}

// seen is told of each object that has changed in the cache: what this node has written is looked at again when it should be there.
func (p *publisher) seen(obj client.Object) {
	switch o := obj.(type) {
	case *v1alpha1.Node:
		if o.Name == p.nodeName {
			p.nodes.AddAfter(p.nodeName, echoPatience)
		}
	case *v1alpha1.Resource:
		key := client.ObjectKeyFromObject(o)
		p.mu.Lock()
		_, wrote := p.written[key]
		p.mu.Unlock()
		if wrote {
			p.resources.AddAfter(key, echoPatience)
		}
	}
}
