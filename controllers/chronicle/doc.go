// Package chronicle writes Events. Events are made as values by package status and emitted only after the write that they tell of
// has succeeded, so that nobody reads of what did not happen.
package chronicle
