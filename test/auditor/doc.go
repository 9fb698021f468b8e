// Package auditor runs the live audit beside a lab, with every collector: the API, what is really on each host, the array's own word
// about its keys, and who answers the client host's questions for an address. It looks from the machine that the lab is on, into the
// hosts' namespaces, so that it sees a host whose agent is dead, and even one that is frozen.
package auditor
