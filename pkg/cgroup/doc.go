// Package cgroup keeps a resource's processes together: one control group (v2) for each, in which the first process is born, so
// that none of its descendants can be missed when they are listed, signalled or killed. Its path is known before the process is
// started, which makes a crash between the two harmless.
package cgroup
