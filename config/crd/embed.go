// Package crd has the CustomResourceDefinitions of the API, for programs that read manifests without an API server.
package crd

import "embed"

// Bases are the definitions as they are generated, one file for each kind.
//
//go:embed bases/*.yaml
var Bases embed.FS
