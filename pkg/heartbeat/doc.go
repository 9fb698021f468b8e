// Package heartbeat carries the messages of pkg/membership between agents: a binary codec with authentication, and a UDP transport
// with one socket on each network whose role includes Internal.
//
// A datagram is
//
//	magic "QRHB" | version 1 | cluster id 8 | message | HMAC-SHA256 32
//
// in network byte order. It is checked in this order: length, magic, version, cluster, authentication, bounds of the message; what
// fails is dropped and counted under the reason of its error (ErrGarbled, ErrVersion, ErrCluster, ErrForged, ErrReplayed,
// ErrUnknown). Nothing of a datagram is used before its authentication was checked.
package heartbeat
