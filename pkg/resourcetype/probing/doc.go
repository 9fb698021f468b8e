// Package probing carries out the health checks that only need a connection: of resource types that run processes, in whatever network
// those live.
package probing
