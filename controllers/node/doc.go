// Package node enrols nodes: it gives each a number that is never given again, shows its state by the quorate view, counts its
// joins, and holds a Node that is being deleted for as long as it owns something.
package node
