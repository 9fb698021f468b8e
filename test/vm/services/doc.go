// Package services tests the resource type GenericService with real units of a real systemd: what it leaves alone, what it refuses, and
// that a guardian ends what a unit runs, whatever the unit's own file says about restarts and with or without systemd's help.
package services
