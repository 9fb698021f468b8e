package api

import "testing"

func TestResourceRefusals(t *testing.T) {
	testRefusals(t, "Resource", map[string]refusal{
		"unknown field":        {`{spec: {ipAddress: {addr: x}}}`, []string{`unknown field "spec.ipAddress.addr"`}},
		"type unknown":         {`{spec: {type: Disk}}`, []string{"spec.type"}},
		"no parameters":        {`{spec: {ipAddress: null}}`, []string{"spec.ipAddress", "must be set for type IPAddress"}},
		"other parameters":     {`{spec: {type: OCF}}`, []string{"spec.ocf", "must be set for type OCF"}},
		"more parameters":      {`{spec: {ocf: {provider: a, agent: b}}}`, []string{"spec.ocf", "for no other"}},
		"address":              {`{spec: {ipAddress: {address: 192.168.7.50}}}`, []string{"spec.ipAddress.address", "prefix length"}},
		"address not unicast":  {`{spec: {ipAddress: {address: 127.0.0.1/8}}}`, []string{"spec.ipAddress.address"}},
		"address prefix":       {`{spec: {ipAddress: {address: "fd77::1/129"}}}`, []string{"spec.ipAddress.address"}},
		"source gateway":       {`{spec: {ipAddress: {sourceRoutes: {gateway: router}}}}`, []string{"spec.ipAddress.sourceRoutes.gateway", "must be an address"}},
		"source gateway away":  {`{spec: {ipAddress: {sourceRoutes: {gateway: 10.99.0.1}}}}`, []string{"spec.ipAddress.sourceRoutes", "own network"}},
		"source gateway other": {`{spec: {ipAddress: {sourceRoutes: {gateway: "fe80::1"}}}}`, []string{"spec.ipAddress.sourceRoutes", "own network"}},
		"connection tracking":  {`{spec: {ipAddress: {connectionTracking: Flush}}}`, []string{"spec.ipAddress.connectionTracking", "Keep", "Clear"}},
		"when isolated":        {`{spec: {ipAddress: {whenIsolated: Move}}}`, []string{"spec.ipAddress.whenIsolated", "Fail", "Ignore"}},
		"depends on itself":    {`{spec: {dependsOn: [{name: r}]}}`, []string{"spec.dependsOn", "itself"}},
		"depends on any self":  {`{spec: {dependsOn: [{anyOf: [a, r]}]}}`, []string{"spec.dependsOn", "itself"}},
		"dependency both":      {`{spec: {dependsOn: [{name: a, anyOf: [b]}]}}`, []string{"spec.dependsOn[0]", "exactly one"}},
		"dependency neither":   {`{spec: {dependsOn: [{}]}}`, []string{"spec.dependsOn[0]", "exactly one"}},
		"owner twice":          {`{spec: {possibleOwners: [a, a]}}`, []string{"spec.possibleOwners[1]", "Duplicate"}},
		"restart policy":       {`{spec: {restart: {policy: Always}}}`, []string{"spec.restart.policy"}},
		"restart period":       {`{spec: {restart: {period: 0s}}}`, []string{"spec.restart.period"}},
		"restart delay":        {`{spec: {restart: {delay: -1s}}}`, []string{"spec.restart.delay"}},
		"retry too soon":       {`{spec: {retryPeriodOnFailure: 14m}}`, []string{"spec.retryPeriodOnFailure", "restart.period"}},
		"retry before restart": {`{spec: {retryPeriodOnFailure: 1h, restart: {period: 2h}}}`, []string{"spec.retryPeriodOnFailure"}},
		"looks alive":          {`{spec: {looksAliveInterval: 0s}}`, []string{"spec.looksAliveInterval"}},
		"pending timeout":      {`{spec: {pendingTimeout: 0s}}`, []string{"spec.pendingTimeout"}},
		"deadlock timeout":     {`{spec: {deadlockTimeout: 500ms}}`, []string{"spec.deadlockTimeout"}},
		"checkpoint":           {`{spec: {checkpoints: [{path: etc/passwd}]}}`, []string{"spec.checkpoints[0].path"}},
		"group name":           {`{spec: {groupName: "a b"}}`, []string{"spec.groupName"}},
	})
}

func TestResourceAcceptances(t *testing.T) {
	cases := map[string]string{
		"never retried":     `{spec: {retryPeriodOnFailure: 0s}}`,
		"retry with period": `{spec: {retryPeriodOnFailure: 15m}}`,
		"long period only":  `{spec: {restart: {period: 2h}}}`,
		"any of two":        `{spec: {dependsOn: [{name: a}, {anyOf: [b, c]}]}}`,
		"IPv6":              `{spec: {ipAddress: {address: "fd77:2::65/64"}}}`,
		"source routes":     `{spec: {ipAddress: {address: 192.168.7.50/24, sourceRoutes: {gateway: 192.168.7.1}, connectionTracking: Clear}}}`,
		"source by default": `{spec: {ipAddress: {sourceRoutes: {}}}}`,
		"source link-local": `{spec: {ipAddress: {address: "fd77:2::65/64", sourceRoutes: {gateway: "fe80::1"}}}}`,
		"when isolated":     `{spec: {ipAddress: {whenIsolated: Ignore}}}`,
		"compound time":     `{spec: {pendingTimeout: 1m30s, looksAliveInterval: 2.5s}}`,
		"oneshot":           `{spec: {type: GenericApplication, ipAddress: null, genericApplication: {command: [/bin/true], mode: OneShot}}}`,
		"balancer":          `{spec: {type: NetworkLoadBalancer, ipAddress: null, networkLoadBalancer: {network: lan, clusterIP: 10.0.0.1/8, portRules: [{name: web, startPort: 80}], members: [{node: a, weight: 50}]}}}`,
		"share":             `{spec: {type: FileShare, ipAddress: null, fileShare: {protocol: SMB, path: /srv/x, shareName: "home$", dfsRoot: true, clients: [{client: 10.0.0.0/8}]}}}`,
		"service":           `{spec: {type: GenericService, ipAddress: null, genericService: {unit: "postgresql@17-main.service"}}}`,
		"custom":            `{spec: {type: Custom, ipAddress: null, custom: {driver: my-driver, parameters: [{name: a, value: b}]}}}`,
		"logical volume":    `{spec: {type: PhysicalDisk, ipAddress: null, physicalDisk: {device: /dev/disk/by-id/wwn-1, fsType: xfs, mountPath: /srv/x, fsck: Force, options: [noatime], lvm: {volumeGroup: vg, logicalVolume: lv}}}}`,
	}
	for name, patch := range cases {
		t.Run(name, func(t *testing.T) {
			if err := tryCreate(t, merge(t, base(t, "Resource"), patch)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestParameterRefusals(t *testing.T) {
	param := func(kind, field, params string) string {
		return "{spec: {type: " + kind + ", ipAddress: null, " + field + ": " + params + "}}"
	}
	app := func(params string) string { return param("GenericApplication", "genericApplication", params) }
	container := func(params string) string { return param("Container", "container", params) }
	disk := func(params string) string { return param("LoopbackDisk", "loopbackDisk", params) }
	testRefusals(t, "Resource", map[string]refusal{
		"disk without device":    {param("PhysicalDisk", "physicalDisk", `{fsType: xfs}`), []string{"spec.physicalDisk.device", "Required"}},
		"disk without fsType":    {param("PhysicalDisk", "physicalDisk", `{device: /dev/sda, mountPath: /srv/x}`), []string{"spec.physicalDisk.fsType"}},
		"disk mount path":        {disk(`{file: /array/1, mountPath: /srv/../etc}`), []string{"spec.loopbackDisk.mountPath", ".."}},
		"disk file relative":     {disk(`{file: disk-1, mountPath: /srv/x}`), []string{"spec.loopbackDisk.file"}},
		"disk size":              {disk(`{file: /array/1, mountPath: /srv/x, size: 10k}`), []string{"spec.loopbackDisk.size", "1Mi"}},
		"name":                   {param("NetworkName", "networkName", `{name: A_B}`), []string{"spec.networkName.name"}},
		"name ttl":               {param("NetworkName", "networkName", `{name: a, dns: {server: s, zone: z, ttl: 10ms}}`), []string{"spec.networkName.dns.ttl"}},
		"name server":            {param("NetworkName", "networkName", `{name: a, dns: {server: "ns 1", zone: z}}`), []string{"spec.networkName.dns.server"}},
		"name server's port":     {param("NetworkName", "networkName", `{name: a, dns: {server: "ns1:dns", zone: z}}`), []string{"spec.networkName.dns.server"}},
		"name zone":              {param("NetworkName", "networkName", `{name: a, dns: {server: s, zone: "a..b"}}`), []string{"spec.networkName.dns.zone"}},
		"share protocol":         {param("FileShare", "fileShare", `{protocol: FTP, path: /a, shareName: a}`), []string{"spec.fileShare.protocol"}},
		"share root":             {param("FileShare", "fileShare", `{protocol: NFS, path: /a, shareName: a, dfsRoot: true}`), []string{"spec.fileShare.dfsRoot"}},
		"share name":             {param("FileShare", "fileShare", `{protocol: NFS, path: /a, shareName: a/b}`), []string{"spec.fileShare.shareName"}},
		"no command":             {app(`{command: []}`), []string{"spec.genericApplication.command"}},
		"relative command":       {app(`{command: [sleep, "1"]}`), []string{"spec.genericApplication.command", "absolute path"}},
		"application mode":       {app(`{command: [/a], mode: Forking}`), []string{"spec.genericApplication.mode"}},
		"two values":             {app(`{command: [/a], env: [{name: A, value: b, valueFrom: {secretKeyRef: {name: s, key: k}}}]}`), []string{"spec.genericApplication.env[0]"}},
		"variable name":          {app(`{command: [/a], env: [{name: 1A, value: b}]}`), []string{"spec.genericApplication.env[0].name"}},
		"two probes":             {app(`{command: [/a], health: {isAlive: {tcp: {port: 1}, http: {port: 1}}}}`), []string{"spec.genericApplication.health.isAlive", "exactly one"}},
		"no probe":               {app(`{command: [/a], health: {looksAlive: {timeout: 1s}}}`), []string{"spec.genericApplication.health.looksAlive", "exactly one"}},
		"probe path":             {app(`{command: [/a], health: {isAlive: {http: {port: 1, path: x}}}}`), []string{"spec.genericApplication.health.isAlive.http.path"}},
		"stop signal":            {app(`{command: [/a], stop: {signal: TERM}}`), []string{"spec.genericApplication.stop.signal"}},
		"service unit":           {param("GenericService", "genericService", `{unit: "a b"}`), []string{"spec.genericService.unit"}},
		"unit of another type":   {param("GenericService", "genericService", `{unit: backup.timer}`), []string{"spec.genericService.unit", "ends in .service"}},
		"template of units":      {param("GenericService", "genericService", `{unit: "postgresql@.service"}`), []string{"spec.genericService.unit", "NAME@main.service"}},
		"resource agent climbs":  {param("OCF", "ocf", `{provider: .., agent: a}`), []string{"spec.ocf.provider"}},
		"driver climbs":          {param("Custom", "custom", `{driver: ../sh}`), []string{"spec.custom.driver"}},
		"bridged, no address":    {container(`{image: a, network: Bridged}`), []string{"spec.container.address"}},
		"host with address":      {container(`{image: a, address: 10.0.0.1/8}`), []string{"spec.container.address"}},
		"mount climbs":           {container(`{image: a, mounts: [{disk: d, subPath: ../x, path: /a}]}`), []string{"spec.container.mounts[0].subPath"}},
		"mount twice":            {container(`{image: a, mounts: [{disk: d, path: /a}, {disk: e, path: /a}]}`), []string{"spec.container.mounts[1]", "Duplicate"}},
		"mount of both":          {container(`{image: a, mounts: [{disk: d, hostPath: /srv/x, path: /a}]}`), []string{"spec.container.mounts[0]", "exactly one of disk and hostPath"}},
		"mount of nothing":       {container(`{image: a, mounts: [{path: /a}]}`), []string{"spec.container.mounts[0]", "exactly one of disk and hostPath"}},
		"host path climbs":       {container(`{image: a, mounts: [{hostPath: /srv/../etc, path: /a}]}`), []string{"spec.container.mounts[0].hostPath"}},
		"bridge of the host":     {container(`{image: a, bridge: br0}`), []string{"spec.container.bridge"}},
		"pull policy":            {container(`{image: a, pullPolicy: Sometimes}`), []string{"spec.container.pullPolicy"}},
		"user of container":      {container(`{image: a, user: "me:too:many"}`), []string{"spec.container.user"}},
		"limit of processes":     {container(`{image: a, limits: {processes: 0}}`), []string{"spec.container.limits.processes"}},
		"device of host":         {container(`{image: a, devices: [/etc/shadow]}`), []string{"spec.container.devices[0]"}},
		"balancer ports":         {param("NetworkLoadBalancer", "networkLoadBalancer", `{network: lan, clusterIP: 10.0.0.1/8, portRules: [{name: a, startPort: 9, endPort: 8}]}`), []string{"endPort"}},
		"balancer address":       {param("NetworkLoadBalancer", "networkLoadBalancer", `{network: lan, clusterIP: 10.0.0.1}`), []string{"spec.networkLoadBalancer.clusterIP"}},
		"balancer member weight": {param("NetworkLoadBalancer", "networkLoadBalancer", `{network: lan, clusterIP: 10.0.0.1/8, members: [{node: a, weight: 101}]}`), []string{"members[0].weight"}},
	})
}
