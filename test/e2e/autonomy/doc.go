// Package autonomy holds the end-to-end tests of a cluster whose nodes decide themselves while the API server is gone. They share one
// lab, which every test leaves as it found it, and the live audit looks on from outside.
package autonomy
