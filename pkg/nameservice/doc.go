// Package nameservice says what the Kubernetes Service of a network name and its EndpointSlices should be. The Service has no selector: its
// endpoints are the addresses of the group, while the name is online.
package nameservice
