// Package audit says from outside whether a cluster keeps its invariants (S1 to S9 and L1). It is pure: looks go in, findings come
// out, and time is an input. A Look is what was seen of one cluster at about one moment: the objects of the API, and where somebody
// could look there, what is really on hosts, what the disks say, and which machines answer for an address. No rule believes one
// agent's status where something else can be seen. An Auditor compares one look with the next: what is in motion contradicts itself
// for a moment, so a suspicion becomes a finding only when it lasts, in at least two looks and for its rule's grace.
//
// Package collect does the looking.
package audit
