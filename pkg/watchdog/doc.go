// Package watchdog is what stops a host that cannot stop its resources (rule O14): the watchdog device, which resets a host that does
// not feed it, and the reset that a host asks of its own kernel. When to feed is the guardian's decision; [Timeout] and [LastFeed] are
// the arithmetic behind it, and behind the time that other nodes wait for proof.
package watchdog
