package api

import "testing"

func TestClusterRefusals(t *testing.T) {
	testRefusals(t, "Cluster", map[string]refusal{
		"unknown field":          {`{spec: {hartbeat: {}}}`, []string{`unknown field "spec.hartbeat"`}},
		"name not a label":       {`{metadata: {name: a.b}}`, []string{"metadata.name", "DNS label"}},
		"no networks":            {`{spec: {networks: []}}`, []string{"spec.networks"}},
		"network twice":          {`{spec: {networks: [{name: a, role: Internal, cidrs: [10.0.0.0/8]}, {name: a, role: Client, cidrs: [11.0.0.0/8]}]}}`, []string{"spec.networks[1]", "Duplicate"}},
		"network role":           {`{spec: {networks: [{name: a, role: Public, cidrs: [10.0.0.0/8]}]}}`, []string{"spec.networks[0].role", "Public"}},
		"network range":          {`{spec: {networks: [{name: a, role: Internal, cidrs: [10.0.0.0/33]}]}}`, []string{"spec.networks[0].cidrs[0]", "address ranges"}},
		"gateway no address":     {`{spec: {networks: [{name: a, role: Internal, cidrs: [10.0.0.0/8], gateways: [router]}]}}`, []string{"spec.networks[0].gateways[0]", "unicast"}},
		"gateway elsewhere":      {`{spec: {networks: [{name: a, role: Internal, cidrs: [10.0.0.0/8], gateways: [11.0.0.1]}]}}`, []string{"spec.networks[0].gateways", "must be in one of the network's cidrs"}},
		"no heartbeat network":   {`{spec: {networks: [{name: a, role: Client, cidrs: [10.0.0.0/8]}]}}`, []string{"networks: at least one"}},
		"no key":                 {`{spec: {heartbeat: {keySecretRef: null}}}`, []string{"spec.heartbeat.keySecretRef", "Required"}},
		"interval too short":     {`{spec: {heartbeat: {interval: 1ms}}}`, []string{"spec.heartbeat.interval", "20ms to 10s"}},
		"interval not a time":    {`{spec: {heartbeat: {interval: fast}}}`, []string{"spec.heartbeat.interval"}},
		"interval without unit":  {`{spec: {heartbeat: {interval: "250"}}}`, []string{"spec.heartbeat.interval"}},
		"threshold":              {`{spec: {heartbeat: {threshold: 1}}}`, []string{"spec.heartbeat.threshold"}},
		"port":                   {`{spec: {heartbeat: {port: 70000}}}`, []string{"spec.heartbeat.port"}},
		"access outside network": {`{spec: {access: {network: lan, address: 192.168.8.10/24}}}`, []string{"spec.access.address", "cidrs"}},
		"access without prefix":  {`{spec: {access: {network: lan, address: 192.168.7.10}}}`, []string{"spec.access.address", "prefix length"}},
		"access unknown network": {`{spec: {access: {network: wan, address: 192.168.7.10/24}}}`, []string{"spec.access.network"}},
		"access not for clients": {`{spec: {access: {network: store, address: 10.0.0.1/8}}}`, []string{"spec.access.network"}},
		"self-fence too long":    {`{spec: {selfFence: {timeout: 1h}}}`, []string{"spec.selfFence.timeout"}},
		"watchdog not a device":  {`{spec: {selfFence: {watchdogDevice: watchdog0}}}`, []string{"spec.selfFence.watchdogDevice"}},
		"quarantine threshold":   {`{spec: {quarantine: {threshold: -1}}}`, []string{"spec.quarantine.threshold"}},
		"quarantine period":      {`{spec: {quarantine: {period: 30s}}}`, []string{"spec.quarantine.period", "1m to 24h"}},
		"quarantine duration":    {`{spec: {quarantine: {duration: 200h}}}`, []string{"spec.quarantine.duration", "1m to 168h"}},
		"anti-affinity":          {`{spec: {antiAffinity: Maybe}}`, []string{"spec.antiAffinity", "Maybe"}},
		"preemption":             {`{spec: {preemption: Always}}`, []string{"spec.preemption"}},
		"type defaults twice":    {`{spec: {resourceTypes: [{type: OCF}, {type: OCF}]}}`, []string{"spec.resourceTypes[1]", "Duplicate"}},
		"type defaults unknown":  {`{spec: {resourceTypes: [{type: Disk}]}}`, []string{"spec.resourceTypes[0].type"}},
		"type defaults interval": {`{spec: {resourceTypes: [{type: OCF, isAliveInterval: 0s}]}}`, []string{"spec.resourceTypes[0].isAliveInterval"}},
		"allowed type unknown":   {`{spec: {allowedResourceTypes: [{name: a, namespaces: ["*"], types: [Disk]}]}}`, []string{"spec.allowedResourceTypes[0].types[0]"}},
		"allowed namespace":      {`{spec: {allowedResourceTypes: [{name: a, namespaces: ["x*"], types: ["*"]}]}}`, []string{"spec.allowedResourceTypes[0].namespaces[0]"}},
		"mount root relative":    {`{spec: {allowedResourceTypes: [{name: a, namespaces: [x], types: ["*"], mountRoots: [srv]}]}}`, []string{"mountRoots[0]"}},
		"mount root climbs":      {`{spec: {allowedResourceTypes: [{name: a, namespaces: [x], types: ["*"], mountRoots: [/srv/../etc]}]}}`, []string{"mountRoots[0]", ".."}},
		"mount root everything":  {`{spec: {allowedResourceTypes: [{name: a, namespaces: [x], types: ["*"], mountRoots: [/]}]}}`, []string{"mountRoots[0]"}},
	})
}

func TestNodeRefusals(t *testing.T) {
	testRefusals(t, "Node", map[string]refusal{
		"unknown field":       {`{spec: {vote: 1}}`, []string{`unknown field "spec.vote"`}},
		"no cluster":          {`{spec: {clusterName: null}}`, []string{"spec.clusterName", "Required"}},
		"no address":          {`{spec: {addresses: []}}`, []string{"spec.addresses"}},
		"address with prefix": {`{spec: {addresses: [{network: lan, address: 192.168.7.1/24}]}}`, []string{"spec.addresses[0].address", "without a prefix"}},
		"address not one":     {`{spec: {addresses: [{network: lan, address: 192.168.7.256}]}}`, []string{"spec.addresses[0].address"}},
		"address multicast":   {`{spec: {addresses: [{network: lan, address: 224.0.0.1}]}}`, []string{"spec.addresses[0].address", "unicast"}},
		"address twice":       {`{spec: {addresses: [{network: lan, address: 192.168.7.1}, {network: lan, address: 192.168.7.1}]}}`, []string{"spec.addresses[1]", "Duplicate"}},
		"votes":               {`{spec: {votes: 2}}`, []string{"spec.votes"}},
		"role":                {`{spec: {role: Spare}}`, []string{"spec.role"}},
		"availability":        {`{spec: {availability: Off}}`, []string{"spec.availability"}},
		"negative capacity":   {`{spec: {capacity: {cpu: "-4"}}}`, []string{"spec.capacity", "negative"}},
		"capacity not amount": {`{spec: {capacity: {cpu: four}}}`, []string{"spec.capacity"}},
		"fencing level twice": {`{spec: {fencing: [{level: 1, driver: fence_ipmilan}, {level: 1, driver: fence_apc}]}}`, []string{"spec.fencing[1]", "Duplicate"}},
		"no fence agent":      {`{spec: {fencing: [{level: 1, driver: ../sh}]}}`, []string{"spec.fencing[0].driver"}},
		"fencing action":      {`{spec: {fencing: [{level: 1, driver: fence_x, parameters: [{name: action, value: "on"}]}]}}`, []string{"spec.fencing[0].parameters", "Quorate sets action"}},
		"fencing line break":  {`{spec: {fencing: [{level: 1, driver: fence_x, parameters: [{name: ip, value: "x\naction=on"}]}]}}`, []string{"spec.fencing[0].parameters", "line break"}},
		"fencing timeout":     {`{spec: {fencing: [{level: 1, driver: fence_x, timeout: 11m}]}}`, []string{"spec.fencing[0].timeout", "at most 10m"}},
		"fencing policy":      {`{spec: {fencingPolicy: Never}}`, []string{"spec.fencingPolicy"}},
		"name too long":       {`{metadata: {name: a123456789012345678901234567890123456789012345678901234567890123}}`, []string{"metadata.name", "DNS label"}},
	})
}

func TestQuorumConfigRefusals(t *testing.T) {
	testRefusals(t, "QuorumConfig", map[string]refusal{
		"not the cluster's name": {`{metadata: {name: other}}`, []string{"spec.clusterName", "own name"}},
		"mode":                   {`{spec: {mode: Majority}}`, []string{"spec.mode"}},
		"no disk":                {`{spec: {mode: NodeAndDiskMajority}}`, []string{"spec.witness", "witness.disk"}},
		"disk only, no disk":     {`{spec: {mode: DiskOnly, witness: {fileShare: {path: /w}}}}`, []string{"witness.disk"}},
		"no lease":               {`{spec: {mode: NodeAndLeaseMajority}}`, []string{"witness.lease"}},
		"no share":               {`{spec: {mode: NodeAndFileShareMajority, witness: {disk: {device: /dev/sda}}}}`, []string{"witness.fileShare"}},
		"two witnesses":          {`{spec: {mode: DiskOnly, witness: {disk: {device: /dev/sda}, fileShare: {path: /w}}}}`, []string{"spec.witness", "exactly one"}},
		"witness not wanted":     {`{spec: {witness: {disk: {device: /dev/sda}}}}`, []string{"spec.witness", "NodeMajority"}},
		"share relative":         {`{spec: {mode: NodeAndFileShareMajority, witness: {fileShare: {path: /w/../x}}}}`, []string{"spec.witness.fileShare.path"}},
		"lease's namespace":      {`{spec: {mode: NodeAndLeaseMajority, witness: {lease: {kubeconfigSecretRef: {namespace: n, name: s}, namespace: "a/b", name: w}}}}`, []string{"spec.witness.lease.namespace"}},
		"lease's name":           {`{spec: {mode: NodeAndLeaseMajority, witness: {lease: {kubeconfigSecretRef: {namespace: n, name: s}, namespace: a, name: "../w"}}}}`, []string{"spec.witness.lease.name"}},
		"device relative":        {`{spec: {mode: DiskOnly, witness: {disk: {device: sda}}}}`, []string{"spec.witness.disk.device"}},
	})
}

func TestResourceGroupRefusals(t *testing.T) {
	testRefusals(t, "ResourceGroup", map[string]refusal{
		"unknown field":          {`{spec: {owner: node-a}}`, []string{`unknown field "spec.owner"`}},
		"cluster name":           {`{spec: {clusterName: Prod}}`, []string{"spec.clusterName"}},
		"priority":               {`{spec: {priority: 1500}}`, []string{"spec.priority"}},
		"owner twice":            {`{spec: {preferredOwners: [node-a, node-b, node-a]}}`, []string{"spec.preferredOwners", "twice"}},
		"class twice":            {`{spec: {antiAffinityClasses: [web, web]}}`, []string{"spec.antiAffinityClasses[1]", "Duplicate"}},
		"failover period":        {`{spec: {failover: {period: 0s}}}`, []string{"spec.failover.period"}},
		"failover threshold":     {`{spec: {failover: {threshold: -1}}}`, []string{"spec.failover.threshold"}},
		"window missing":         {`{spec: {failback: {policy: Window}}}`, []string{"spec.failback.window"}},
		"window not wanted":      {`{spec: {failback: {window: {start: "01:00", end: "02:00"}}}}`, []string{"spec.failback.window"}},
		"window without end":     {`{spec: {failback: {policy: Window, window: {start: "01:00"}}}}`, []string{"spec.failback.window.end", "Required"}},
		"window empty":           {`{spec: {failback: {policy: Window, window: {start: "01:00", end: "01:00"}}}}`, []string{"spec.failback.window.end"}},
		"window hour":            {`{spec: {failback: {policy: Window, window: {start: "24:00", end: "01:00"}}}}`, []string{"spec.failback.window.start"}},
		"failback delay":         {`{spec: {failback: {delay: soon}}}`, []string{"spec.failback.delay"}},
		"failback delay days":    {`{spec: {failback: {delay: 1d}}}`, []string{"spec.failback.delay"}},
		"failback delay too big": {`{spec: {failback: {delay: 99999999999h}}}`, []string{"spec.failback.delay"}},
		"depends on itself":      {`{spec: {dependsOn: [{name: g}]}}`, []string{"spec.dependsOn", "itself"}},
		"negative request":       {`{spec: {requests: {memory: -1Gi}}}`, []string{"spec.requests", "negative"}},
		"mode":                   {`{spec: {mode: Spread}}`, []string{"spec.mode"}},
		"desired state":          {`{spec: {desiredState: Paused}}`, []string{"spec.desiredState"}},
	})
}
