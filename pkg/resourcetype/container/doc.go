// Package container runs a container as a resource, with the host's containerd and in a containerd namespace of Quorate's own. The
// container's processes are in a control group below the agent's root before anything of the image runs, so whoever stops the group when
// the lease ends needs no containerd; the container runs on when the agent or containerd restarts.
package container
