// Package fileshare is the witness in a directory that all hosts mount, by NFS or another shared file system (R8j). It is a
// swap.Store: a document is replaced by renaming a file whose name is used only once.
//
// The directory holds:
//
//	quorate-witness            the identity: a random number; made once, by link(2)
//	head.ROOT.N.NONCE          an empty file: its name says which document is the present one
//	doc.ROOT.N.NONCE           that document
//	state.VERSION.SUM          the copy of the cluster's state that the document refers to
//	new.NONCE                  something that is being written
//
// A swap writes doc.ROOT.N+1.NEW, and renames head.ROOT.N.OLD to head.ROOT.N+1.NEW. The server finds the old name or it does not: one
// step, whatever this host has in its caches and however long it was frozen before. No name comes twice, so nothing that is tidied
// away can come back to deceive a late writer; a chain of numbered files made by link(2) could not be tidied so.
package fileshare
