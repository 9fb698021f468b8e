// Package api tests the API as a user meets it: the kinds, roles, admission policies and samples of config/ on a real API server.
// Nothing of Quorate runs here.
package api
