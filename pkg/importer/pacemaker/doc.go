// Package pacemaker turns the configuration of a Pacemaker cluster (its CIB, and corosync.conf beside it) into Quorate's objects. It
// is pure: bytes in, objects and a report out. What has no equivalent is in the report, with its XML id, its line and what to do.
//
// # How it goes
//
// Parse reads the XML into elements that know their lines, and the elements into a configuration: templates applied, references to
// sets resolved, rules kept. Import divides the resources into units, each of which becomes a ResourceGroup: a primitive, a group, a
// clone, or several of them that a colocation of INFINITY ties together. Then each kind of thing has its own file: nodes, networks,
// resources, location, colocation, order, fencing. What was made is validated with pkg/validation, and findings go into the report.
//
// # Where the semantics come from
//
// Pacemaker Explained (2.1) and what crm_simulate 2.1 does; test/importer compares the placements of both. Scores follow its
// arithmetic: INFINITY is 1,000,000, -INFINITY wins over everything, and a node whose sum is below zero never runs the resource.
package pacemaker
