package pacemaker

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/quorate/quorate/api/v1alpha1"
)

// lettersAndDigits are what names are made of at least. A text is made of a set when trimming the set leaves nothing of it.
const lettersAndDigits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// setType gives a Resource the type that is nearest to the agent. It says false when there is nothing to make of it.
func (im *importer) setType(u *unit, p *primitive, r *v1alpha1.Resource) bool {
	switch p.spec() {
	case "ocf:heartbeat:IPaddr2", "ocf:heartbeat:IPaddr", "ocf:heartbeat:IPv6addr":
		return im.address(p, r)
	case "ocf:heartbeat:Filesystem":
		return im.filesystem(u, p, r)
	case "ocf:heartbeat:LVM-activate", "ocf:heartbeat:LVM":
		return im.volumeGroup(u, p, r)
	case "ocf:heartbeat:anything":
		return im.program(p, r)
	}
	switch p.class {
	case "ocf":
		return im.ocf(p, r)
	case "systemd", "service", "lsb":
		return im.service(p, r)
	}
	im.report.add(NotImported, p.at, "find an OCF agent or a systemd unit that does the same", "resources of class %s (%s) have no equivalent", p.class, p.spec())
	return false
}

func (im *importer) address(p *primitive, r *v1alpha1.Resource) bool {
	text := cmpOr(p.params.value("ip"), p.params.value("ipv6addr"))
	host, inline, _ := strings.Cut(text, "/")
	a, err := netip.ParseAddr(strings.TrimSpace(host))
	if err != nil || !a.Unmap().IsGlobalUnicast() || a.Zone() != "" {
		im.report.add(NotImported, p.params.at("ip", p.at), "mend it and import again", "%s has no usable address: %q", p.id, text)
		return false
	}
	a = a.Unmap()
	length, ok := netmask(cmpOr(p.params.value("cidr_netmask"), inline), a)
	if !ok {
		im.report.add(Todo, p.params.at("cidr_netmask", p.at), "set the prefix length of the address", "%s has a netmask that is none: %q", p.id, p.params.value("cidr_netmask"))
	}
	network, prefix, found := im.serve(p.at, a, length)
	if !found {
		return false
	}
	if nic := p.params.value("nic"); nic != "" {
		im.report.add(Note, p.params.at("nic", p.at), "", "nic=%s of %s is not carried over: the interface is the one with an address of network %s", nic, p.id, network)
	}
	if p.params.value("clusterip_hash") != "" {
		im.report.add(NotImported, p.params.at("clusterip_hash", p.at), "", "%s shares its address among nodes (clusterip_hash): the address is on one node here", p.id)
	}
	r.Spec.Type = v1alpha1.TypeIPAddress
	r.Spec.IPAddress = &v1alpha1.IPAddress{Network: network, Address: prefix.String()}
	return true
}

// netmask reads a prefix length, or a mask in dots; 0 when there is none.
func netmask(s string, a netip.Addr) (int, bool) {
	if s = strings.TrimSpace(s); s == "" {
		return 0, true
	}
	if n, err := strconv.Atoi(s); err == nil {
		if n > 0 && n <= a.BitLen() {
			return n, true
		}
		return 0, false
	}
	m, err := netip.ParseAddr(s)
	if err != nil || !m.Is4() || !a.Is4() {
		return 0, false
	}
	var bits uint32
	for _, b := range m.As4() {
		bits = bits<<8 | uint32(b)
	}
	for n := 1; n <= 32; n++ {
		if bits == ^uint32(0)<<(32-n) {
			return n, true
		}
	}
	return 0, false
}

// program is ocf:heartbeat:anything: a program that stays in the foreground.
func (im *importer) program(p *primitive, r *v1alpha1.Resource) bool {
	file := p.params.value("binfile")
	command := append([]string{file}, strings.Fields(p.params.value("cmdline_options"))...)
	if !strings.HasPrefix(file, "/") || len(command) > 64 || len(p.params.value("cmdline_options")) > 1024 || len(file) > 1024 {
		im.report.add(NotImported, p.at, "write a GenericApplication with the program's absolute path", "%s has no program that could be carried over: binfile=%q", p.id, bounded(file, 80))
		return false
	}
	if strings.ContainsAny(p.params.value("cmdline_options"), `'"\$|;&<>`) {
		im.report.add(Todo, p.params.at("cmdline_options", p.at), "write the arguments as a list: no shell reads them", "the arguments of %s are for a shell; they were divided at blanks", p.id)
	}
	if user := p.params.value("user"); user != "" && user != "root" {
		im.report.add(Todo, p.params.at("user", p.at), "let the program change its user itself, for instance with setpriv", "%s runs as user %s: programs are started as root", p.id, user)
	}
	r.Spec.Type = v1alpha1.TypeGenericApplication
	r.Spec.GenericApplication = &v1alpha1.GenericApplication{Command: command}
	if d := p.params.value("workdir"); strings.HasPrefix(d, "/") && len(d) <= 256 {
		r.Spec.GenericApplication.WorkingDir = d
	}
	return true
}

// service is a unit of systemd. An init script is one too: systemd makes a unit of each.
func (im *importer) service(p *primitive, r *v1alpha1.Resource) bool {
	unit := p.agent
	if !strings.Contains(unit, ".") {
		unit += ".service"
	}
	if !strings.HasSuffix(unit, ".service") || strings.HasSuffix(unit, "@.service") {
		im.report.add(NotImported, p.at, "name a service that has the same effect", "%s: %q is no service, or a template of services: only services can be run", p.id, bounded(unit, 80))
		return false
	}
	if len(unit) > 255 || strings.Trim(unit, lettersAndDigits+`:_.\@-`) != "" {
		im.report.add(NotImported, p.at, "rename the unit", "%s: %q is no name of a systemd unit", p.id, unit)
		return false
	}
	if p.class == "lsb" {
		im.report.add(Changed, p.at, "check it with systemctl cat "+unit, "init script %s became the unit that systemd makes of it", p.agent)
	}
	r.Spec.Type = v1alpha1.TypeGenericService
	r.Spec.GenericService = &v1alpha1.GenericService{Unit: unit}
	return true
}

func (im *importer) ocf(p *primitive, r *v1alpha1.Resource) bool {
	ocf := &v1alpha1.OCF{Provider: p.provider, Agent: p.agent}
	if !ocfName(ocf.Provider) || !ocfName(ocf.Agent) {
		im.report.add(NotImported, p.at, "rename the agent", "%s: provider %q and agent %q are no names that can be carried over", p.id, p.provider, p.agent)
		return false
	}
	for _, a := range p.params {
		if len(ocf.Parameters) == 64 || len(a.name) > 253 || len(a.value) > 4096 {
			im.report.add(NotImported, a.at, "", "the parameter %s of %s is too long, or one too many (64)", bounded(a.name, 80), p.id)
			continue
		}
		ocf.Parameters = append(ocf.Parameters, v1alpha1.NameValue{Name: a.name, Value: a.value})
	}
	r.Spec.Type, r.Spec.OCF = v1alpha1.TypeOCF, ocf
	return true
}

func ocfName(s string) bool {
	if s == "" || len(s) > 63 || strings.ContainsRune("_.-", rune(s[0])) {
		return false
	}
	return strings.Trim(s, lettersAndDigits+"_.-") == ""
}
