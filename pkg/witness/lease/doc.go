// Package lease is the witness in a Lease of another Kubernetes cluster (R8j). It is a swap.Store: the document is an annotation of the
// Lease, replaced only at the resourceVersion that was read. The copy of the cluster's state is in ConfigMaps beside it, which are
// never changed once they are made. What the Lease's spec says (holder, when it was renewed) is for people; nobody decides by it.
package lease
