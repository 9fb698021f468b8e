#!/usr/bin/env bash
# Fuzzes every fuzz target of the tree for FUZZTIME each (default 30s).
. "$(dirname "$0")/env.sh"
cd "$ROOT"
grep -rlE '^func Fuzz' --include='*_test.go' api controllers pkg test | xargs -n1 dirname | sort -u | while read -r dir; do
  for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | sed 's/^func //'); do
    say "$dir $target"
    # Without a bound the first interesting input of a slow target is made smaller for a minute, and nothing is tried.
    go test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" -fuzzminimizetime 20x
  done
done
