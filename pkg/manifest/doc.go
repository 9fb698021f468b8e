// Package manifest reads manifests as an API server would take them: what the CustomResourceDefinitions leave to defaults is filled in,
// and everything that they refuse is found, with file, line, object and field, all at once. It needs no API server: the schemas and
// their rules in CEL are those of config/crd, and the libraries that apply them are the API server's own.
package manifest
