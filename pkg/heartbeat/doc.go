// Package heartbeat carries the messages of pkg/membership between agents: a binary codec with authentication and a negotiated
// version, and a UDP transport with one socket on each network whose role includes Internal.
//
// A datagram is
//
//	magic "QRHB" | version 1 | lowest 1 | highest 1 | cluster id 8 | sender 2 | incarnation 8 | sequence 8 | keys 1 + 4 each
//	| body | HMAC-SHA256 32
//
// in network byte order. All before the body is the envelope: it is the same in every version from 2 on, so that an agent can
// authenticate and name a sender whose body it cannot read. It tells which versions the sender understands (lowest to highest)
// and which keys it accepts (by their ids, see KeyID); each peer is then spoken to in the highest version and with the newest key
// that it understands. Only the body belongs to a version. Version 1 is older than the envelope: magic, version, cluster id, then
// the whole message; see version1.go.
//
// A datagram is checked in this order: length, magic, cluster, authentication, sender, replay, version, bounds of the message. What
// fails is dropped and counted under the reason of its error (ErrGarbled, ErrVersion, ErrCluster, ErrForged, ErrReplayed, ErrLate,
// ErrUnknown). Nothing of a datagram is used before its authentication was checked, and nothing of a body that is not understood
// to its end.
//
// A change of what is carried needs a new version, with a file of its own, a golden test and a place in Supported; what an older
// version cannot say is refused by its check, never left out silently, unless leaving it out is safe (a field that only asks for
// less). Datagram is the one model that all versions are read into and written from.
package heartbeat
