// Package apiservers reaches an API that several servers serve: requests go to one of them, and when it is dead, frozen or not ready
// to the next. Clients of client-go need not know: they get a rest.Config whose transport does it, and what they watch they watch
// again when a connection ends.
//
// A server is given up when no connection to it can be made within a second, when it does not answer an HTTP/2 ping (sent after half a
// second without a frame) within three quarters of one, or when its /readyz says no. All connections to it are closed then, those of watches
// included. A request that was not sent, or that only reads, is sent to the next server; one that may have changed something is not:
// its caller knows what to do with an error. There is no way back to the first server but the failure of the one in use.
//
// The servers' certificates are of one authority, and each is checked for the name by which it is dialed.
package apiservers
