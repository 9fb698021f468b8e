// Package twonode holds the end-to-end tests of the commonest cluster there is: two hosts and a disk witness. They share one lab,
// which every test leaves as it found it, and the live audit looks on from outside.
package twonode
