#!/usr/bin/env bash
# Runs the tests that need the emulated guest: those inside it, then those of the machine itself (watchdogs, hangs). Needs bin/vm and
# bin/quorate-vm (make vm). RUN picks tests inside, PACKAGES packages.
. "$(dirname "$0")/env.sh"
cd "$ROOT"

[ -x "$BIN/quorate-vm" ] && [ -e "$BIN/vm/complete" ] || fail "the emulated guest is not built: run make vm"
read -ra packages <<<"${PACKAGES:-./...}"
machines=()
if [ -z "${RUN:-}${PACKAGES:-}" ]; then
  # These mostly wait for watchdogs, so they run beside the others.
  output="$(mktemp)"
  trap 'rm -f "$output"' EXIT
  QUORATE_VM="$BIN/vm" QUORATE_BIN="$BIN" go test -count=1 -timeout 20m ./test/vm/machine ./test/vm/selffence >"$output" 2>&1 &
  machines=($!)
fi
failed=0
"$BIN/quorate-vm" test --quiet ${RUN:+--run "$RUN"} "${packages[@]}" || failed=1
for pid in "${machines[@]}"; do
  wait "$pid" || failed=1
  cat "$output"
done
exit "$failed"
