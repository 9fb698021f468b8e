// Package structure holds the tests of the tree itself: which package may import which, how large a file may grow, and whether
// the links in documents lead somewhere.
package structure
