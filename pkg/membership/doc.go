// Package membership is the protocol by which agents agree on who is in the cluster and who has quorum (DESIGN section 4; the
// rules R1 to R11). It is a single-threaded machine: it does no I/O, starts no goroutine and reads no clock. Every
// time is an input, a time.Duration of the caller's own CLOCK_BOOTTIME, and is never compared with another host's.
//
// # The caller's duties
//
// One goroutine owns a Machine and calls, as things happen: Receive for each datagram (or Hear for each and Tick after the last), Tick at
// Status.NextDeadline (earlier and later are both safe), SetReady, SetReachesAPI, SetConfig, Form and Leave. After every call, or after
// some, it takes Ready and, in this order:
//
//  1. writes Ready.Persist, if not nil, to disk, atomically and with fsync;
//  2. writes Ready.Volatile, if not nil, to a file that a reboot loses (tmpfs), atomically, without fsync;
//  3. sends each of Ready.Messages to every peer on every internal network;
//  4. begins Ready.Witness, if not nil, in a goroutine of its own, and answers it with WitnessDone, however late;
//  5. acts on Ready.Events, and on Status.
//
// One operation on the witness is out at a time. One that failed may still take effect, so no other may be begun on the device before it
// has really ended: the caller answers with a failure meanwhile. An operation that cannot be begun is answered with a failure too.
//
// Leases and NextDeadline are cheap parts of Status for use after each call. An event can be lost when the process dies before
// step 5; a start therefore looks at Status.Ready and the generation, which say the same as QuorumLost did.
//
// The order is what makes the promises hold over a crash. A message that is never sent does no harm, one that is sent before
// step 1 does. When the process wakes (freeze and thaw), it hands in all received datagrams before it calls Tick, and reads the
// clock again before each call. Only Tick declares a peer silent or quorum lost.
//
// # A start
//
// New with the Volatile of the same boot resumes: same incarnation, same generation, same promises, as if nothing had happened
// (the planned restart of R2). New without it begins a new incarnation and generation and grants nothing for a while (R2). In
// both cases a generation that is not ready stays out of every view until SetReady(true): the caller says so when nothing of an
// older generation is left on the host (O3).
//
// A host that has lost its disk must not use an earlier life's numbers again: see LostDiskMargin.
//
// # Acting and keeping
//
// Acting (Status.Acting, until ActingUntil) allows to start things, to make records and to report the view. Keeping (until
// KeepingUntil) allows to go on running what the node owns; it is what address leases and the guardian's lease are made of.
// When keeping ends while a challenge for the witness is under way, Suspended tells until when the stop may wait (R8). Else, or then,
// QuorumLost tells that the whole generation is burnt: all that ran in it must be stopped (R6, R7, O3).
package membership
