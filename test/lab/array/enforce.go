//go:build !noenforce

package array

// Enforcing says whether reservations stop writes. It is false only in a build with the tag noenforce.
const Enforcing = true
