package cluster

// rule is a part of the simulated world that a mutation can take away.
type rule string

const compareAndSwap rule = "O5" // a write with an old resourceVersion is refused
