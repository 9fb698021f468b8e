// Package version names the build.
package version

// Version is set by the linker (-X); it is "dev" in a plain go build.
var Version = "dev"
