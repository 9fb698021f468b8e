// Package controllers lists all controllers of the manager. Each lives in a package of its own with the same file names: doc,
// controller, and a file per phase. What they write is computed by package status, what they decide by package policy.
package controllers
