// Package whatif answers what a cluster would do: it carries on with the objects of a cluster, from manifests or from a live one, lets
// events happen to it one after the other, and tells of each what follows until nothing does any more. It is pure: time is an input, and
// the objects that it is given are not changed.
//
// Everything that decides is the product's own: decision.Round (validation, snapshot, policy.Plan, the groups' statuses), status.Node,
// the vote records of pkg/quorum, the restart rule of pkg/lifecycle. What is simulated is the rest: hosts that are up or down, agents
// that do at once and without fail what they are told (policy/standin), and a witness that works.
//
// # What an event stands for
//
// A node that goes down does so without notice; two that are named in one event go down at the same moment, so that the votes cannot
// follow in between. A resource that fails has failed once: it is restarted in place while its restart.threshold allows, and past that
// its group fails over; of a group of mode LoadBalanced it is the resource on the first of its nodes. Start and stop always succeed. Time passes only with wait and at. Lists of what is due then (failbacks, retries,
// the end of a quarantine) are worked off in order.
package whatif
