package pacemaker

import (
	"net/netip"
	"slices"
	"strings"

	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

// makeNodes makes a Node of each host of the CIB.
func (im *importer) makeNodes() {
	for name := range im.opts.Addresses {
		if im.c.node(name) == nil {
			im.report.add(Todo, nil, "name one of the CIB's nodes", "an address is given for node %q, which the CIB does not have", name)
		}
	}
	for i, n := range im.c.nodes {
		node := &v1alpha1.Node{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Node"},
			ObjectMeta: metav1.ObjectMeta{Name: im.nodeName(n.name)},
			Spec: v1alpha1.NodeSpec{
				ClusterName: im.clusterName(), Maintenance: truth(n.attrs.value("maintenance"), false),
				Addresses: im.addresses(n, i), Capacity: im.quantities(n.utilization, n.at),
			},
		}
		if node.Name != n.name {
			node.Spec.HostName = n.name
		}
		if truth(n.attrs.value("standby"), false) {
			node.Spec.Availability = v1alpha1.AvailabilityDrained
		}
		for _, a := range n.attrs {
			if a.name != "standby" && a.name != "maintenance" && !strings.HasPrefix(a.name, "#health") {
				im.report.add(Note, a.at, "", "the attribute %s of node %s is not carried over; rules that look at it were worked out", a.name, n.name)
			}
		}
		im.result.Nodes = append(im.result.Nodes, node)
	}
	if len(im.c.nodes) == 0 {
		im.report.add(Todo, nil, "export the CIB of a running cluster with `cibadmin --query`, or write the Nodes by hand", "the CIB has no nodes")
	}
}

func (im *importer) nodeName(name string) string {
	n := im.c.node(name)
	if n == nil {
		return label(name)
	}
	return im.nodeNames.of(im.report, n.at, name)
}

func (im *importer) ownerNames(list []string) []string {
	names := make([]string, 0, len(list))
	for _, name := range list {
		names = append(names, im.nodeName(name))
	}
	return names
}

// quantities are utilization attributes, if the CIB's placement strategy heeds them.
func (im *importer) quantities(list nvs, at *element) v1alpha1.Quantities {
	if len(list) == 0 {
		return nil
	}
	strategy := im.c.properties.value("placement-strategy")
	if strategy == "" || strategy == "default" {
		im.report.add(Note, list[0].at, "add capacity to the Nodes and requests to the groups to have them heeded",
			"utilization is not carried over: placement-strategy is %q, with which Pacemaker does not heed it either", cmpOr(strategy, "default"))
		return nil
	}
	out := v1alpha1.Quantities{}
	for _, a := range list {
		if len(a.name) > maxName {
			im.report.add(NotImported, a.at, "give it a shorter name, on nodes and resources", "the name of the utilization %q of %s has more than %d characters", bounded(a.name, 40), at.id(), maxName)
			continue
		}
		q, err := apiresource.ParseQuantity(a.value)
		if err != nil || q.Sign() < 0 || len(out) == 16 || a.name == "" {
			im.report.add(NotImported, a.at, "", "the utilization %s=%q of %s is not an amount that can be carried over", a.name, a.value, at.id())
			continue
		}
		out[a.name] = q
	}
	return out
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// makeCluster makes the Cluster and its QuorumConfig of the cluster's properties.
func (im *importer) makeCluster() {
	name := im.clusterName()
	im.result.Cluster = &v1alpha1.Cluster{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Cluster"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.ClusterSpec{
			Description: "Imported from Pacemaker", Maintenance: truth(im.c.properties.value("maintenance-mode"), false),
			Heartbeat: v1alpha1.Heartbeat{KeySecretRef: v1alpha1.SecretReference{Namespace: v1alpha1.SystemNamespace, Name: bounded(name, 49) + "-heartbeat-key"}},
		},
	}
	im.report.add(Todo, nil, "make it: kubectl -n "+v1alpha1.SystemNamespace+" create secret generic "+im.result.Cluster.Spec.Heartbeat.KeySecretRef.Name+
		" --from-file=key=FILE, with a FILE of 32 random bytes (head -c 32 /dev/urandom), and allow agents to read it (config/rbac/heartbeat_key.yaml)",
		"the Secret with the heartbeats' key is not made here: corosync's key is not used")
	if im.required {
		im.result.Cluster.Spec.AntiAffinity = v1alpha1.AntiAffinityRequired
	}
	fencing := truth(im.c.properties.value("stonith-enabled"), true)
	im.result.Cluster.Spec.RequireFencing = fencing && slices.ContainsFunc(im.result.Nodes, func(n *v1alpha1.Node) bool { return len(n.Spec.Fencing) > 0 })
	if fencing && !im.result.Cluster.Spec.RequireFencing {
		im.report.add(Changed, im.c.properties.at("stonith-enabled", nil), "give each Node.spec.fencing, or a watchdog (docs/fencing.md), and set Cluster.spec.requireFencing",
			"stonith is enabled (the default), and the CIB has no device that could be carried over: the Cluster does not require fencing")
	}
	im.result.Quorum = &v1alpha1.QuorumConfig{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "QuorumConfig"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.QuorumConfigSpec{ClusterName: name, Mode: v1alpha1.QuorumNodeMajority},
	}
	im.reportProperties()
	im.reportCorosync()
}

// properties that have no equivalent, or another one, with what to do. Those that tune Pacemaker itself are not worth a word.
var properties = map[string]struct {
	severity Severity
	is       func(string) bool
	what, do string
}{
	"no-quorum-policy": {Changed, func(v string) bool { return v != "stop" && v != "" },
		"a node without quorum always stops its groups: there is no other policy", "for two nodes add a witness (docs/witness.md) instead of ignoring quorum"},
	"stonith-action":                      {Note, isNot("reboot"), "what happens to a fenced host's power is Node.spec.powerAfterFencing", "set it to Off"},
	"stonith-watchdog-timeout":            {Changed, isNot("0", ""), "watchdog fencing is Cluster.spec.selfFence.watchdogDevice", "set it to the hosts' device (docs/fencing.md)"},
	"concurrent-fencing":                  {Note, isNot("true", "on", "yes", "1"), "hosts are always fenced independently of each other", ""},
	"start-failure-is-fatal":              {Note, isNot("true", "on", "yes", "1"), "a failed start is a failure like others: restart.threshold counts it", ""},
	"stop-all-resources":                  {Changed, isNot("false", "off", "no", "0"), "there is no switch that stops everything", "set desiredState of the groups to Offline"},
	"stop-orphan-resources":               {Note, isNot("true", "on", "yes", "1"), "what is deleted is always taken offline first", ""},
	"node-health-strategy":                {NotImported, isNot("none"), "health attributes of nodes are not watched", "set Node.spec.availability to Drained from what watches the hosts"},
	"node-health-green":                   {Note, nil, "belongs to node-health-strategy", ""},
	"have-watchdog":                       {Note, isNot("false"), "hosts have watchdogs", "set Cluster.spec.selfFence.watchdogDevice (docs/fencing.md)"},
	"priority-fencing-delay":              {NotImported, isNot("0", "0s", ""), "who survives a split is decided by votes and witness, not by a race of fencing", ""},
	"shutdown-lock":                       {NotImported, isNot("false", "off", "no", "0"), "groups of a node that shuts down go elsewhere", "set Node.spec.maintenance before the shutdown to keep them"},
	"default-resource-stickiness":         {NotImported, nil, "an old property that Pacemaker 2 does not know either", "use resource-stickiness in rsc_defaults, and import again"},
	"remove-after-stop":                   {Note, isNot("false"), "is not needed", ""},
	"node-action-limit":                   {Note, nil, "there is no such limit", ""},
	"migration-limit":                     {Note, isNot("-1"), "nothing is migrated live", ""},
	"enable-acl":                          {Changed, isNot("false", "off", "no", "0"), "access is decided by RBAC of the Kubernetes API", "see config/rbac/users.yaml"},
	"cluster-recheck-interval":            {Note, nil, "what becomes due is looked at when it does", ""},
	"dc-deadtime":                         {Note, nil, "there is no such wait", ""},
	"default-action-timeout":              {NotImported, nil, "an old property", "use op_defaults, and import again"},
	"is-managed-default":                  {NotImported, nil, "an old property", "use is-managed in rsc_defaults, and import again"},
	"startup-fencing":                     {Changed, isNot("true", "on", "yes", "1"), "a node that was never seen needs proof like any other", ""},
	"fence-reaction":                      {Note, isNot("stop"), "a host that learns that it was fenced ends what it runs", ""},
	"stonith-max-attempts":                {Note, nil, "fencing is tried again for as long as it is needed, less and less often", ""},
	"fencing-reaction":                    {Note, isNot("stop"), "a host that learns that it was fenced ends what it runs", ""},
	"allow-unhealthy-nodes":               {Note, nil, "belongs to node-health-strategy", ""},
	"stonith-timeout":                     {Note, nil, "each level has its own timeout: Node.spec.fencing[].timeout", ""},
	"transition-delay":                    {Note, isNot("0", "0s"), "nothing is delayed", ""},
	"symmetric-cluster":                   {Note, isNot("true", "on", "yes", "1"), "groups run only where a constraint allows it: it became possibleOwners", ""},
	"migration-threshold":                 {NotImported, nil, "is no property of a cluster", "set it in rsc_defaults, and import again"},
	"placement-strategy":                  {Changed, func(v string) bool { return v == "minimal" }, "minimal fills as few nodes as it can: Quorate spreads groups by load", "give the groups preferredOwners"},
	"maintenance-mode":                    {Note, isNot("false", "off", "no", "0"), "became Cluster.spec.maintenance: nothing is started before it is taken away", ""},
	"stonith-enabled":                     {Changed, func(v string) bool { return !truth(v, true) }, "fencing is not required: what neither a disk nor an address fences waits for its self-fence deadline", "see docs/fencing.md"},
	"default-migration-threshold":         {NotImported, nil, "an old property", "set it in rsc_defaults, and import again"},
	"load-threshold":                      {Note, nil, "there is no such limit", ""},
	"batch-limit":                         {Note, nil, "there is no such limit", ""},
	"default-resource-failure-stickiness": {NotImported, nil, "an old property", "use migration-threshold, and import again"},
}

func isNot(values ...string) func(string) bool {
	return func(v string) bool { return !slices.Contains(values, strings.ToLower(v)) }
}

func (im *importer) reportProperties() {
	for _, p := range im.c.properties {
		if known, ok := properties[p.name]; ok && (known.is == nil || known.is(p.value)) {
			im.report.add(known.severity, p.at, known.do, "%s=%s: %s", p.name, p.value, known.what)
		}
	}
}

// reportCorosync says what of corosync.conf is to be looked after by hand.
func (im *importer) reportCorosync() {
	c := im.corosync
	two := truth(c.value("quorum.two_node"), false)
	switch model := c.value("quorum.device.model"); {
	case model != "":
		im.report.add(Todo, c.at("quorum.device.model"), "add a witness: QuorumConfig.spec.witness, a disk, a file share or a Lease of another cluster (docs/witness.md)",
			"the quorum device (%s) is not carried over: without a witness an even number of nodes cannot survive a split in the middle", model)
	case two || c == nil && len(im.c.nodes) == 2:
		im.report.add(Todo, c.at("quorum.two_node"), "add a witness: QuorumConfig.spec.witness, a disk, a file share or a Lease of another cluster (docs/witness.md)",
			"two nodes: without a witness only one of them, the one with the lower id, survives the other")
	}
	if token := c.value("totem.token"); token != "" {
		im.report.add(Note, c.at("totem.token"), "set Cluster.spec.heartbeat.interval and threshold if the network needs more patience",
			"the token timeout of %s ms is not carried over: Quorate gives a node up after 1 s", token)
	}
}

func prefixes(list []netip.Prefix) string {
	text := make([]string, 0, len(list))
	for _, p := range list {
		text = append(text, p.String())
	}
	return strings.Join(text, ", ")
}
