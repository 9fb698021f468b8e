#!/usr/bin/env bash
# Makes the chart's templates and CRDs from config/: one source, two ways to install. The values of charts/quorate/values.yaml take
# the place of what config/ names for the demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

chart=charts/quorate
rm -rf "$chart/crds" "$chart/templates"
mkdir -p "$chart/crds" "$chart/templates"
cp config/crd/bases/*.yaml "$chart/crds/"

template() { # SOURCE NAME
	{
		echo "# Generated from $1 by hack/chart.sh. DO NOT EDIT."
		sed -e 's#image: quorate:dev#image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"#' \
			-e 's#replicas: 2$#replicas: {{ .Values.manager.replicas }}#' \
			-e 's#resourceNames: \[demo-heartbeat-key\]#resourceNames: [{{ .Values.cluster.heartbeatKeySecret | quote }}]#' \
			-e 's#resourceNames: \[demo-fencing, demo-fencing-strip\]#resourceNames: {{ .Values.cluster.fencingSecrets | default (list "none") | toJson }}#' \
			-e 's#resourceNames: \[demo-witness\]#resourceNames: {{ .Values.cluster.witnessSecrets | default (list "none") | toJson }}#' \
			-e 's#nodeSelector: {quorate.io/agent: "true"}#nodeSelector: {{ .Values.agent.nodeSelector | toJson }}#' "$1"
	} >"$chart/templates/$2"
}

for file in config/rbac/*.yaml config/admission/*.yaml config/manager/*.yaml config/agent/*.yaml; do
	[ "$(basename "$file")" = kustomization.yaml ] && continue
	name="$(basename "$(dirname "$file")")-$(basename "$file")"
	template "$file" "$name"
done

cat >"$chart/templates/agent-configmap.yaml" <<'EOF'
# The Cluster of this installation's agents.
apiVersion: v1
kind: ConfigMap
metadata:
  name: quorate-agent
  namespace: quorate-system
data:
  cluster: {{ .Values.cluster.name | quote }}
EOF
