// Package genericapplication runs a process as a resource, in a cgroup of its own. The process does not depend on the agent: it has
// its own session and writes its output to a file, so that an agent that ends leaves it alone and the next one adopts it. Its
// cgroup is known and recorded before it is started, so that after a crash in between nothing can run twice.
package genericapplication
