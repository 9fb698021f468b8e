// Package controllertest runs the controllers against a real API server, synchronously: a test calls Settle and looks at the result,
// there is no waiting. It plays the agents, which report what a healthy host would.
package controllertest
