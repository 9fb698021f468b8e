package pacemaker

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/quorate/quorate/api/v1alpha1"
	"github.com/quorate/quorate/pkg/snapshot"
	"github.com/quorate/quorate/pkg/validation"
)

// Options are what a CIB does not say.
type Options struct {
	// ClusterName is the name of the Cluster; default the CIB's cluster-name, else corosync's, else "imported".
	ClusterName string
	// Namespace of groups and resources; default "default".
	Namespace string
	// Corosync is the text of corosync.conf, which has the nodes' addresses; nil when there is none.
	Corosync []byte
	// CorosyncName is how errors call that file; default corosync.conf.
	CorosyncName string
	// Addresses are addresses of nodes, by the node's name in the CIB, with their prefix lengths. They come before corosync's.
	Addresses map[string][]netip.Prefix
}

// Result is what an import makes.
type Result struct {
	Cluster   *v1alpha1.Cluster
	Quorum    *v1alpha1.QuorumConfig
	Nodes     []*v1alpha1.Node
	Groups    []*v1alpha1.ResourceGroup
	Resources []*v1alpha1.Resource
	// Secrets have the credentials of fencing devices.
	Secrets []*corev1.Secret
	Report  Report
}

// Objects are all objects in the order in which to apply them.
func (r *Result) Objects() []runtime.Object {
	objects := []runtime.Object{r.Cluster, r.Quorum}
	for _, s := range r.Secrets {
		objects = append(objects, s)
	}
	for _, n := range r.Nodes {
		objects = append(objects, n)
	}
	for _, g := range r.Groups {
		objects = append(objects, g)
		for _, res := range r.Resources {
			if res.Spec.GroupName == g.Name {
				objects = append(objects, res)
			}
		}
	}
	return objects
}

// Snapshot returns the objects as pkg/snapshot and pkg/validation take them.
func (r *Result) Snapshot() *snapshot.Objects {
	o := &snapshot.Objects{Name: r.Cluster.Name, Cluster: r.Cluster, Quorum: r.Quorum, Nodes: r.Nodes, Groups: r.Groups, Resources: r.Resources}
	o.Sort()
	return o
}

// importer is the working state of one import.
type importer struct {
	opts     Options
	c        *config
	corosync *corosync
	report   *Report
	result   *Result
	units    []*unit
	home     map[*resource]*unit
	required bool

	nodeNames, groupNames, resourceNames *names
	networks                             []*network
}

// Import reads a CIB. An error is a *SyntaxError with the line, unless it is about corosync.conf, which it then names.
func Import(cib []byte, opts Options) (*Result, error) {
	im := &importer{
		opts: opts, result: &Result{}, nodeNames: newNames("Node"), groupNames: newNames("ResourceGroup"), resourceNames: newNames("Resource"),
	}
	im.report = &im.result.Report
	var err error
	if im.c, err = parse(cib, im.report); err != nil {
		return nil, err
	}
	if opts.Corosync != nil {
		if im.corosync, err = parseCorosync(opts.Corosync); err != nil {
			name := opts.CorosyncName
			if name == "" {
				name = "corosync.conf"
			}
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if im.opts.Namespace == "" {
		im.opts.Namespace = "default"
	}
	pairs := im.colocations()
	im.divide(pairs)
	im.antiAffinity(pairs)
	im.locate()
	im.orders()
	im.makeNodes()
	im.makeFencing()
	im.makeCluster()
	im.makeGroups()
	im.reportGuesses()
	im.allow()
	im.check()
	im.report.sort()
	return im.result, nil
}

// check validates what was made as the controllers will, so that nothing that they refuse comes as a surprise.
func (im *importer) check() {
	for _, f := range validation.Check(im.result.Snapshot()).All() {
		if f.Warning {
			continue
		}
		entry := Entry{Severity: Todo, Element: string(f.Kind), ID: f.Name, What: f.Field + ": " + f.Message, Do: "change the manifest; until then the group is not started"}
		if f.Reason == v1alpha1.ResourceReasonTypeNotSupported {
			entry.Do = "until a version runs it, replace it by a GenericApplication that runs the program itself, or leave it out"
		}
		im.report.Entries = append(im.report.Entries, entry)
	}
}

// clusterName is the name of the Cluster.
func (im *importer) clusterName() string {
	name := im.opts.ClusterName
	if name == "" {
		name = im.c.properties.value("cluster-name")
	}
	if name == "" && im.corosync != nil {
		name = im.corosync.value("totem.cluster_name")
	}
	if strings.TrimSpace(name) == "" {
		return "imported"
	}
	return label(name)
}
