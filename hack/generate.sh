#!/usr/bin/env bash
# Generates what follows from api/: deep copies, CRDs (config/crd/bases), apply configurations (api/applyconfiguration) and the
# reference of the fields (docs/reference/api.md, and a page for each type of resource in docs/reference/types).
# The result depends on nothing but the sources and the pinned controller-gen, so that `git diff` after a run shows drift.
#
# CONTROLLER_GEN names a controller-gen to use; by default the one that hack/tools pins is built into bin/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

gen=${CONTROLLER_GEN:-$PWD/bin/controller-gen}
if [[ -z ${CONTROLLER_GEN:-} && ( ! -x $gen || hack/tools/go.mod -nt $gen ) ]]; then
	go -C hack/tools build -trimpath -o "$gen" sigs.k8s.io/controller-tools/cmd/controller-gen
	touch "$gen"
fi

"$gen" object paths=./api/v1alpha1

mkdir -p config/crd/bases
rm -f config/crd/bases/*.yaml
"$gen" crd:omitToolVersion=true,maxDescLen=512 paths=./api/v1alpha1 output:crd:artifacts:config=config/crd/bases

# controller-gen puts apply configurations below a directory named for the parent of the API package, which would be
# api/applyconfiguration/api/v1alpha1. They are moved up, so that their path does not say "api" twice.
rm -rf api/applyconfiguration
"$gen" applyconfiguration:omitToolVersion=true paths=./api/v1alpha1
mv api/applyconfiguration/api/v1alpha1 api/applyconfiguration/v1alpha1
rmdir api/applyconfiguration/api
grep -rlZ 'applyconfiguration/api/v1alpha1' api/applyconfiguration |
	xargs -0 --no-run-if-empty sed -i 's#applyconfiguration/api/v1alpha1#applyconfiguration/v1alpha1#g'
gofmt -w api/applyconfiguration

mkdir -p docs/reference
go run ./hack/apidoc config/crd/bases >docs/reference/api.md.new
mv docs/reference/api.md.new docs/reference/api.md
rm -rf docs/reference/types
mkdir docs/reference/types
go run ./hack/apidoc config/crd/bases docs/reference/types

hack/chart.sh
