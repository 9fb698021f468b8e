#!/usr/bin/env bash
# Runs golangci-lint, built once from its Go module.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
build_tool "$ROOT/hack/lint" github.com/golangci/golangci-lint/v2/cmd/golangci-lint golangci-lint
"$BIN/golangci-lint" run --timeout 15m "$@"
