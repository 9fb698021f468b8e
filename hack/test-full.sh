#!/usr/bin/env bash
# What is too long for `make test`: more simulation seeds, the race detector, the guest's long tests, short
# fuzzing, and three more rounds of the lab.
. "$(dirname "$0")/env.sh"
cd "$ROOT"
# QUORATE_TEST_FULL lets the misfortunes of test/e2e last longer.
export KUBEBUILDER_ASSETS="$BIN/controlplane" QUORATE_BIN="$BIN" QUORATE_TEST_FULL=1
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -E env "PATH=$PATH")

say "simulation, 10,000 seeds"
go test -count=1 -timeout 60m ./test/sim -sim.seeds 10000
go test -count=1 -timeout 60m ./test/sim/cluster -sim.seeds 5000
say "the simulation of whole clusters finds each rule of ownership that is taken away"
go test -tags mutation -count=1 -timeout 30m ./test/sim/cluster -run TestMutants
say "race detector on what has goroutines"
"${as_root[@]}" go test -race -count=1 -timeout 30m ./pkg/... ./controllers/...
say "the long tests in the emulated guest"
QUORATE_TEST_FULL=1 hack/test-vm.sh
say "fuzzing, ten seconds a parser"
FUZZTIME=10s hack/fuzz.sh
say "three more rounds of the end-to-end tests"
"${as_root[@]}" go test -count=3 -p 1 -timeout 60m ./test/e2e ./test/e2e/twonode ./test/e2e/hyper
say "PostgreSQL and 20 power cuts of each variant"
QUORATE_POWER_CUTS=20 "${as_root[@]}" go test -count=1 -timeout 40m -v ./test/e2e/postgres
