package pacemaker

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/quorate/quorate/api/v1alpha1"
)

// Fencing devices of a CIB are resources with lists of hosts; here each Node lists its own.

var fenceDriver = regexp.MustCompile(`^fence_[a-z0-9_]{1,57}$`)

// noPower are agents that do not cut power: the agents refuse them, and disks are fenced by their reservations anyway.
var noPower = []string{
	"fence_scsi", "fence_mpath", "fence_ifmib", "fence_brocade", "fence_sanbox2", "fence_cisco_mds", "fence_kdump", "fence_sbd", "fence_watchdog",
}

// newNamesOf are today's names of parameters that the agents know under older ones too.
var newNamesOf = map[string]string{
	"ipaddr": "ip", "login": "username", "passwd": "password", "passwd_script": "password_script", "port": "plug", "secure": "ssh", "userid": "username",
}

// own are parameters that Quorate sets itself, or does not allow.
var own = []string{"action", "option", "debug", "debug_file", "verbose", "verbose_level", "quiet"}

// secret are those whose values belong in a Secret.
var secret = regexp.MustCompile(`(?i)(passw|community|secret|token|private_key)`)

// device is a fencing device of the CIB.
type device struct {
	*primitive
	// plugs are the hosts that it fences, with what it calls them; empty when it calls them nothing.
	plugs map[string]string
	// anyHost says that it does not list its hosts.
	anyHost bool
}

func (im *importer) makeFencing() {
	var devices []*device
	for _, r := range im.c.resources {
		for _, p := range r.primitives {
			if p.class == "stonith" {
				if d := im.device(p); d != nil {
					devices = append(devices, d)
				}
			}
		}
	}
	levels := im.levels()
	for i, n := range im.c.nodes {
		node := im.result.Nodes[i]
		if named, ok := levels[n.name]; ok {
			for _, number := range slices.Sorted(maps.Keys(named)) {
				im.addLevel(node, n, named[number], devices, int32(number))
			}
			continue
		}
		for _, d := range devices {
			if _, ok := d.plugs[n.name]; ok || d.anyHost {
				im.addFencing(node, n, d, int32(len(node.Spec.Fencing)+1))
			}
		}
	}
}

// device reads a primitive of class stonith; nil when it has no equivalent.
func (im *importer) device(p *primitive) *device {
	switch {
	case slices.Contains(noPower, p.agent):
		im.report.add(Note, p.at, "use PhysicalDisk resources: their reservations are what keeps an old owner from writing; a watchdog is Cluster.spec.selfFence.watchdogDevice",
			"%s does not cut power: it is not carried over", p.agent)
		return nil
	case !fenceDriver.MatchString(p.agent):
		im.report.add(NotImported, p.at, "use the agent of ClusterLabs' fence-agents for the same device in Node.spec.fencing", "%s is not one of ClusterLabs' fence agents (fence_...)", p.spec())
		return nil
	}
	d := &device{primitive: p, plugs: map[string]string{}}
	for _, host := range strings.FieldsFunc(p.params.value("pcmk_host_list"), listSeparator) {
		d.plugs[host] = ""
	}
	for _, entry := range strings.FieldsFunc(p.params.value("pcmk_host_map"), func(r rune) bool { return r == ';' || r == ' ' || r == '\t' }) {
		if host, plug, ok := strings.Cut(entry, ":"); ok {
			d.plugs[host] = plug
		} else if host, plug, ok := strings.Cut(entry, "="); ok {
			d.plugs[host] = plug
		}
	}
	if len(d.plugs) == 0 {
		d.anyHost = true
		im.report.add(Todo, p.at, "check Node.spec.fencing of every Node: parameter plug has the node's name",
			"device %s does not list its hosts (pcmk_host_list, pcmk_host_map): it is taken to fence all of them", p.id)
	}
	return d
}

func listSeparator(r rune) bool { return r == ',' || r == ' ' || r == ';' || r == '\t' }

// levels reads the fencing topology: by node and number, the devices of the level.
func (im *importer) levels() map[string]map[int]*element {
	all := map[string]map[int]*element{}
	for _, e := range im.c.topology {
		number, err := strconv.Atoi(e.attrs["index"])
		if err != nil || number < 1 || number > 9 {
			im.report.add(NotImported, e, "give it a number from 1 to 9", "the level %q is no number that a Node's fencing may have", e.attrs["index"])
			continue
		}
		var targets []string
		switch {
		case e.attrs["target"] != "":
			targets = []string{e.attrs["target"]}
		case e.attrs["target-pattern"] != "":
			re, err := regexp.Compile("^(?:" + e.attrs["target-pattern"] + ")$")
			if err != nil {
				im.report.add(NotImported, e, "name the nodes one by one", "the pattern %q is not understood here: %v", e.attrs["target-pattern"], err)
				continue
			}
			for _, n := range im.c.nodes {
				if re.MatchString(n.name) {
					targets = append(targets, n.name)
				}
			}
		default:
			for _, n := range im.c.nodes {
				if v, ok := n.attrs.get(e.attrs["target-attribute"]); ok && v == e.attrs["target-value"] {
					targets = append(targets, n.name)
				}
			}
		}
		for _, t := range targets {
			if all[t] == nil {
				all[t] = map[int]*element{}
			}
			all[t][number] = e
		}
	}
	return all
}

func (im *importer) addLevel(node *v1alpha1.Node, n *node, e *element, devices []*device, number int32) {
	named := strings.FieldsFunc(e.attrs["devices"], listSeparator)
	if len(named) > 1 {
		im.report.add(NotImported, e, "use one device that switches both power supplies, or leave the level out",
			"level %d of node %s needs %d devices together (%s): a level here is one device", number, n.name, len(named), strings.Join(named, ", "))
		return
	}
	for _, d := range devices {
		if len(named) == 1 && d.id == named[0] {
			im.addFencing(node, n, d, number)
			return
		}
	}
}

// addFencing gives a Node a level of fencing by the device.
func (im *importer) addFencing(node *v1alpha1.Node, n *node, d *device, number int32) {
	if number > 9 {
		im.report.add(NotImported, d.at, "", "node %s would have more than 9 levels of fencing", n.name)
		return
	}
	level := v1alpha1.FencingLevel{Level: number, Driver: d.agent}
	secrets := map[string]string{}
	for _, p := range d.params {
		name := p.name
		if strings.HasPrefix(name, "pcmk_") {
			im.fencingOption(&level, p)
			continue
		}
		if newer, ok := newNamesOf[name]; ok {
			name = newer
		}
		switch {
		case slices.Contains(own, name), strings.Contains(p.value, "\n"), len(p.value) > 4096, len(level.Parameters) == 31, name == "" || len(name) > 253:
			im.report.add(Note, p.at, "", "the parameter %s of device %s is not carried over", p.name, d.id)
		case secret.MatchString(name) && !strings.HasSuffix(name, "_script"):
			secrets[name] = p.value
		case !slices.ContainsFunc(level.Parameters, func(v v1alpha1.NameValue) bool { return v.Name == name }):
			level.Parameters = append(level.Parameters, v1alpha1.NameValue{Name: name, Value: p.value})
		}
	}
	d.addPlug(&level, n.name)
	if len(secrets) > 0 {
		level.SecretRef = im.fencingSecret(d, secrets)
	}
	node.Spec.Fencing = append(node.Spec.Fencing, level)
}

// addPlug tells the device which of its hosts is meant.
func (d *device) addPlug(level *v1alpha1.FencingLevel, name string) {
	plug, argument := d.plugs[name], cmpOr(d.params.value("pcmk_host_argument"), "plug")
	if plug == "" && (len(d.plugs) > 1 || d.anyHost) {
		plug = name
	}
	if argument == "port" {
		argument = "plug"
	}
	if plug != "" && argument != "none" && len(argument) <= 253 && len(plug) <= 4096 {
		level.Parameters = slices.DeleteFunc(level.Parameters, func(v v1alpha1.NameValue) bool { return v.Name == argument })
		level.Parameters = append(level.Parameters, v1alpha1.NameValue{Name: argument, Value: plug})
	}
}

// fencingOption heeds what is said to Pacemaker, not to the agent.
func (im *importer) fencingOption(level *v1alpha1.FencingLevel, p nv) {
	switch p.name {
	case "pcmk_off_timeout", "pcmk_reboot_timeout":
		d, ok := parseDuration(p.value)
		if ok && d > 0 && d <= 10*time.Minute && level.Timeout == nil {
			level.Timeout = &metav1.Duration{Duration: d}
		}
	case "pcmk_delay_base", "pcmk_delay_max":
		im.report.add(Note, p.at, "", "%s=%s is not carried over: who survives a split is decided by votes and witness, not by a race of fencing", p.name, p.value)
	case "pcmk_reboot_action":
		im.report.add(Note, p.at, "set Node.spec.powerAfterFencing to Off if the host is to stay off", "%s=%s is not carried over", p.name, p.value)
	}
}

// fencingSecret makes the device's Secret, once.
func (im *importer) fencingSecret(d *device, data map[string]string) *v1alpha1.SecretReference {
	ref := &v1alpha1.SecretReference{Namespace: v1alpha1.SystemNamespace, Name: bounded(im.clusterName(), 63) + "-fencing-" + label(d.id)}
	if slices.ContainsFunc(im.result.Secrets, func(s *corev1.Secret) bool { return s.Name == ref.Name }) {
		return ref
	}
	im.result.Secrets = append(im.result.Secrets, &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name}, StringData: data,
	})
	im.report.add(Todo, d.at, "keep the manifest out of version control, or take the Secret out of it; allow agents to read it (config/rbac/fencing_secrets.yaml)",
		"the credentials of device %s became Secret %s", d.id, ref.Name)
	return ref
}
