#!/usr/bin/env bash
# Runs every test but the long ones, cheapest first, so that a mistake shows early. Needs bin/ and bin/controlplane (make test builds both).
. "$(dirname "$0")/env.sh"
cd "$ROOT"

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -E env "PATH=$PATH")
export KUBEBUILDER_ASSETS="$BIN/controlplane" QUORATE_BIN="$BIN"

say "tests without a lab: unit, scenarios, simulation, controllers on a real API server"
mapfile -t packages < <(go list ./... | grep -v '/test/e2e')
"${as_root[@]}" go test -timeout 15m "${packages[@]}"

say "the simulation finds a violation with each rule of membership switched off"
go test -tags mutation -timeout 10m ./test/sim -run Mutation

say "a late write must not be stopped by anything but the array's enforcement: with that compiled out, the test has to fail"
if "${as_root[@]}" go test -tags noenforce -count=1 -run 'TestLateWrite' ./test/lab/array >/tmp/quorate-noenforce.$$ 2>&1; then
  rm -f /tmp/quorate-noenforce.$$
  fail "TestLateWrite passed with the enforcement compiled out: it proves nothing"
fi
grep -q 'old owner reached the disk' /tmp/quorate-noenforce.$$ || { cat /tmp/quorate-noenforce.$$; rm -f /tmp/quorate-noenforce.$$; fail "TestLateWrite failed for another reason than a write of the old owner"; }
rm -f /tmp/quorate-noenforce.$$

say "tests on real disks and watchdogs, in the emulated guest"
hack/test-vm.sh

# A test of the lab that fails is run once more by itself, since a busy machine can starve the API server or the clients. It is named, and
# it fails if it fails again. What the live audit calls a violation of an invariant is never run again: it fails at once.
say "end-to-end tests on the lab"
e2e=(./test/e2e ./test/e2e/twonode ./test/e2e/hyper ./test/e2e/postgres)
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
if ! "${as_root[@]}" go test -count=1 -p 1 -timeout 25m "${e2e[@]}" 2>&1 | tee "$log"; then
  ! grep -q 'the live audit found' "$log" || fail "the live audit found a violation of an invariant: see above"
  mapfile -t failed < <(sed -n 's/^--- FAIL: \(Test[A-Za-z0-9_]*\).*/\1/p' "$log" | sort -u)
  { [ "${#failed[@]}" -gt 0 ] && [ "${#failed[@]}" -le 3 ]; } || fail "${#failed[@]} end-to-end tests have failed: see above"
  say "once more, by themselves: ${failed[*]}"
  "${as_root[@]}" go test -count=1 -p 1 -timeout 15m -run "^($(IFS='|'; echo "${failed[*]}"))\$" "${e2e[@]}" || fail "failed twice: see above"
  say "passed at the second attempt: ${failed[*]}"
fi
