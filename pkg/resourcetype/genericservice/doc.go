// Package genericservice runs a systemd unit as a resource. While it is online, a drop-in in /run keeps systemd from starting the unit again
// by itself: when and where it runs is the cluster's to decide. The unit's control group is known and recorded before it is started, so that
// the guardian can kill what runs in it from the record alone, with or without systemd's help.
package genericservice
