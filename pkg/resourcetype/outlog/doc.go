// Package outlog keeps what the processes of resources print, each resource in a file of its own that does not grow for ever.
package outlog
