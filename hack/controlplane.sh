#!/usr/bin/env bash
# Builds the control plane that tests and the lab run against (etcd, kube-apiserver, kubectl), and links it into bin/controlplane,
# which is a valid KUBEBUILDER_ASSETS. The first build takes about five minutes on two cores; later ones take no time.
. "$(dirname "$0")/env.sh"

version="$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$ROOT/hack/controlplane/go.mod")"
minor="${version#v1.}"
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags="$flags -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
  flags="$flags -X $package.gitTreeState=clean -X $package.gitCommit=gomodule -X $package.buildDate=1970-01-01T00:00:00Z"
done
build_tool "$ROOT/hack/controlplane" . controlplane/controlplane "$flags"
for name in etcd kube-apiserver kubectl; do
  ln -sfn controlplane "$BIN/controlplane/$name"
done
