package v1alpha1

// Reasons of QuorumConfig conditions.
const (
	// QuorumReasonQuorate surfaces when the votes present are at least those required.
	QuorumReasonQuorate = "Quorate"
	// QuorumReasonNoQuorum surfaces when they are fewer.
	QuorumReasonNoQuorum = "NoQuorum"
	// QuorumReasonNotFormed surfaces before the first formation.
	QuorumReasonNotFormed = "NotFormed"
	// QuorumReasonNeverQuorate surfaces when no set of nodes could ever have quorum.
	QuorumReasonNeverQuorate = "NeverQuorate"
	// QuorumReasonWitnessInUse surfaces when the witness is something that a group of the cluster uses.
	QuorumReasonWitnessInUse = "WitnessInUse"
	// QuorumReasonWitnessFailed surfaces when no node holds the witness.
	QuorumReasonWitnessFailed = "WitnessFailed"
)
