package heartbeat

import "errors"

// Version 3: the body of version 2 with one flag more, that the sender goes by the journal of its cluster and not by the API server.
// Leaving it out would not be safe: who hears of no journal obeys the API server.

// errPending refuses what the versions before 3 cannot say.
var errPending = errors.New("versions before 3 know no journal: the peer's agent has to be upgraded first")

// flagsOfVersion is above all flags that a version from 2 on knows.
func flagsOfVersion(version uint8) uint16 {
	if version == 2 {
		return flagPending
	}
	return flagsEnd
}
