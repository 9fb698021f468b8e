// Package install puts into the lab's API server what is installed on a real one: kinds, roles, admission policies, and the Secret
// with which agents authenticate their heartbeats. It uses kubectl, as a person would.
package install

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/quorate/quorate/test/lab/pki"
	"github.com/quorate/quorate/test/lab/protocol"
)

// Kubectl runs kubectl with one identity.
type Kubectl struct {
	Path       string
	Kubeconfig string
	// CacheDir keeps discovery between runs.
	CacheDir string
}

// Run runs kubectl with stdin, and tells in its error what kubectl said.
func (k Kubectl) Run(ctx context.Context, stdin string, args ...string) error {
	cmd := exec.CommandContext(ctx, k.Path, append([]string{"--kubeconfig=" + k.Kubeconfig, "--cache-dir=" + k.CacheDir}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = []string{"HOME=" + k.CacheDir, "PATH=/usr/bin:/bin"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(out.String()))
	}
	return nil
}

// System installs the kustomization "api" of configDir, the namespace of the samples and the cluster's heartbeat key.
func System(ctx context.Context, k Kubectl, configDir, cluster string) error {
	if err := k.Run(ctx, "", "apply", "--server-side", "-k", filepath.Join(configDir, "api")); err != nil {
		return err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	objects := strings.NewReplacer(
		"SYSTEM", protocol.Namespace, "SAMPLES", protocol.SampleNamespace, "CLUSTER", cluster,
		"KEY", base64.StdEncoding.EncodeToString(key),
	).Replace(template)
	if err := k.Run(ctx, objects, "apply", "--server-side", "-f", "-"); err != nil {
		return err
	}
	return k.Run(ctx, "", "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
}

// template holds what an installation makes by hand: a namespace for groups, and the key that agents share. The first role makes a lab
// whose cluster is not called demo work like one that is; with the second the lab's operator may replace the key, which elsewhere is an
// act of who administers the Kubernetes cluster. With the others names in the samples' namespace are signed with the Secret lab-tsig, and the operator
// sees their Services.
const template = `apiVersion: v1
kind: Namespace
metadata: {name: SAMPLES}
---
apiVersion: v1
kind: Secret
metadata: {name: CLUSTER-heartbeat-key, namespace: SYSTEM}
data: {key: "KEY"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lab-heartbeat-key, namespace: SYSTEM}
rules:
- {apiGroups: [""], resources: [secrets], resourceNames: [CLUSTER-heartbeat-key], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lab-heartbeat-key, namespace: SYSTEM}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lab-heartbeat-key}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "quorate:agents"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lab-key-rotation, namespace: SYSTEM}
rules:
- {apiGroups: [""], resources: [secrets], resourceNames: [CLUSTER-heartbeat-key], verbs: [get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lab-key-rotation, namespace: SYSTEM}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lab-key-rotation}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "quorate:admins"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lab-name-key, namespace: SAMPLES}
rules:
- {apiGroups: [""], resources: [secrets], resourceNames: [lab-tsig], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lab-name-key, namespace: SAMPLES}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lab-name-key}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "quorate:agents"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lab-names, namespace: SAMPLES}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [create, delete]}
- {apiGroups: [""], resources: [services], verbs: [get, list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lab-names, namespace: SAMPLES}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lab-names}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "quorate:admins"}
`

// Manifests applies a file, a directory, or a directory with a kustomization, as the operator.
func Manifests(ctx context.Context, k Kubectl, path string) error {
	flag := "-f"
	if found, _ := filepath.Glob(filepath.Join(path, "kustomization.y*ml")); len(found) > 0 {
		flag = "-k"
	}
	return k.Run(ctx, "", "apply", "--server-side", flag, path)
}

// Agent is the identity of a host's agent.
func Agent(node string) pki.Identity {
	return pki.Identity{User: "quorate:agent:" + node, Groups: []string{"quorate:agents"}}
}

// Manager is the identity of every manager.
func Manager() pki.Identity {
	return pki.Identity{User: "quorate:manager", Groups: []string{"quorate:managers"}}
}

// Operator is the identity of the person at the keyboard: an administrator of Quorate, not of the cluster.
func Operator() pki.Identity {
	return pki.Identity{User: "lab-operator", Groups: []string{"quorate:admins"}}
}
