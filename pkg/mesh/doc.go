// Package mesh carries the messages of pkg/autonomy between agents: one authenticated and encrypted TCP connection from each agent to
// each other one, on the internal networks.
//
// A connection carries messages from the agent that dialed it to the agent that accepted it, so each pair has two. They are kept up
// all the time, so that a firewall that blocks them is noticed before they are needed (Links), and so that nothing has to be dialed
// when a host has just died.
//
// # Handshake
//
// The dialing agent sends
//
//	magic "QRMS" | lowest version 1 | highest version 1 | cluster 8 | from 2 | to 2 | key id 4 | first message of Noise 48
//
// and gets
//
//	0 | second message of Noise 49 (its payload is the chosen version), or one other byte that says why not.
//
// It is Noise_NNpsk0_25519_AESGCM_SHA256 (noiseprotocol.org). The pre-shared key is derived by HKDF from the key that authenticates
// heartbeats, so that an agent is who it says to the same degree as there: whoever has the cluster's key is one of its agents. All that
// is sent in the clear, and the cluster's whole name, is the prologue, so that nobody can change it. Each connection has keys of its
// own with forward secrecy: who learns the cluster's key later cannot read what was recorded.
//
// The first message can be replayed, so the accepting agent believes the other only when its first frame has come. What refuses a
// handshake is not authentic; nothing follows from it but a line in the log and, for a key that is not known, the next attempt with
// an older one that is still accepted.
//
// # Frames
//
// A frame is its length (2 bytes, network byte order) and one message of Noise of that length: a byte that says what it is, and data.
// A message of the agents is JSON, compressed with zstd, in as many frames as it takes. Each frame is answered with one that says so,
// and when nothing was sent for a while a ping is; an agent that has no answer for a second gives the connection up and dials anew,
// with the other networks first. Nothing is ever sent twice: autonomy repeats what matters.
package mesh
