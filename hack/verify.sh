#!/usr/bin/env bash
# Everything that must hold of the tree besides its tests. Each check says what is wrong and how to mend it.
. "$(dirname "$0")/env.sh"
cd "$ROOT"

say "generated code is current"
tracked=(api config charts docs/reference)
before="$(git status --porcelain -- "${tracked[@]}" | sort; git diff -- "${tracked[@]}" | sha256sum)"
hack/generate.sh
after="$(git status --porcelain -- "${tracked[@]}" | sort; git diff -- "${tracked[@]}" | sha256sum)"
[ "$before" = "$after" ] || { git diff --stat -- "${tracked[@]}"; fail "generated files are not current: run make generate and commit"; }

say "code is formatted"
unformatted="$(gofmt -s -l api cmd controllers pkg test hack/controlplane)"
[ -z "$unformatted" ] || fail "not formatted (run make fmt): $unformatted"

say "import rules, document links and file sizes"
go test -count=1 ./test/structure

say "shell scripts parse"
for script in hack/*.sh .ci/run; do bash -n "$script"; done

say "lint is clean"
hack/lint.sh
