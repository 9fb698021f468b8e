// Package autonomy decides where groups run when no member of a quorate view reaches the API server. It is a step machine: messages,
// reports, the standing of membership and time go in; what must be on disk, what is sent to other members, and what the node goes by
// come out. It does no I/O.
//
// There are two ways to go by: the API server, and the journal. What keeps them apart is no clock but a handshake. The coordinator of
// a view that wants to decide opens a session. A member that joins it says first, on its own disk and in every heartbeat, that it goes by
// the journal, and from then on obeys nothing that the API server says; with its answer come all assignments that it has ever seen, what
// runs on it, and its own journal. Only when every member of the view has joined, and every one has the merged journal on its disk, may
// anything be decided; and it is obeyed only when every member has it on its disk. So whatever the controllers write meanwhile is
// obeyed by nobody, and whoever is the next coordinator knows all that was decided before.
//
// A member obeys the API server in a view only when all members of that view have said, in a heartbeat that carries this very view, that
// none of them goes by the journal (Machine.ObeysAPI). A view that inherits members of an earlier one inherits their journal.
//
// What an operator asks for on a member's host is told to the coordinator with the member's answers, and becomes an entry of the journal;
// the next round decides what follows from it.
//
// When the API server is reached again, nothing is decided any more until the journal is written to it: the reporter publishes it page
// by page, the leading manager writes each page and acknowledges it, and with the last page the session ends.
//
// Epochs: the first that a view decides for a group is far above all that is known (epochJump for each view since the assignment that
// is known), so that histories that did not know of each other never use the same one, and the later view's is the higher.
package autonomy
