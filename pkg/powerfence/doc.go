// Package powerfence cuts the power of hosts with the fence agents of the ClusterLabs project (package fence-agents: fence_ipmilan,
// fence_redfish and many more). It speaks their interface, described in their FenceAgentAPI document: a program that reads key=value
// lines on standard input, does one action, and tells by its exit code how that went.
//
// What it holds on to:
//
//   - Off is what a status says after the act, in its exit code and in words. An agent's claim to have switched something off is not
//     enough, and a status that cannot be had is never taken for off.
//   - Agents ignore parameters that they do not know, so parameters are checked by name against the agent's own metadata before.
//   - An agent that cuts off storage or a network port instead of power is refused: what runs on the host would go on.
//   - Credentials go to standard input alone: never on a command line, in an environment or into a log. What an agent prints is
//     searched for them before it is shown.
package powerfence
