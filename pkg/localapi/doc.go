// Package localapi is how an operator on a host speaks to the agent that runs there: JSON over HTTP on a unix socket in the agent's
// run directory. It needs no API server, so what it offers works when that is gone.
//
// Only root is served: the socket is for its owner alone, and the kernel tells who calls. A query only looks. An act changes
// something, and every call of one leaves a line in the agent's log: who, what, and how it ended.
package localapi
