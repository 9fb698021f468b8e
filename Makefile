# Quorate. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := $(CURDIR)/bin
export KUBEBUILDER_ASSETS := $(BIN)/controlplane
export QUORATE_BIN := $(BIN)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X github.com/quorate/quorate/pkg/version.Version=$(VERSION)'
# The lab makes namespaces, mounts and loop devices: its targets run as root, through sudo if need be.
SUDO := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo -E env "PATH=$$PATH")
# The pure packages: no I/O, so they are tested with the race detector's cost left out and in seconds.
PURE := ./pkg/model/... ./pkg/membership/... ./pkg/quorum/... ./pkg/policy/... ./pkg/lifecycle/... ./pkg/fenceplan/... ./pkg/snapshot/... ./pkg/status/... ./pkg/validation/... ./pkg/decision/... ./pkg/whatif/... ./pkg/manifest/... ./pkg/nearest/... ./pkg/importer/...
N ?= 5

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Run

.PHONY: demo
demo: build controlplane ## Set everything up and watch a real failover (KEEP=1 leaves the lab running).
	@$(SUDO) QUORATE_BIN=$(BIN) KUBEBUILDER_ASSETS=$(KUBEBUILDER_ASSETS) $(BIN)/quorate-lab demo $(if $(KEEP),--keep)

.PHONY: build
build: setup ## Build the binaries into bin/.
	@mkdir -p $(BIN)
	@$(GO_BUILD) -o $(BIN)/quorate-agent ./cmd/agent
	@$(GO_BUILD) -o $(BIN)/quorate-manager ./cmd/manager
	@$(GO_BUILD) -o $(BIN)/quorate-lab ./cmd/lab
	@$(GO_BUILD) -o $(BIN)/kubectl-quorate ./cmd/kubectl-quorate
	@ln -sf kubectl-quorate $(BIN)/quoratectl
	@install -m 755 cmd/kubectl-quorate/kubectl_complete-quorate $(BIN)/
	@$(GO_BUILD) -o $(BIN)/quorate-visits ./test/visits

.PHONY: setup
setup: ## Install the Debian packages that the lab and the tests use.
	@hack/setup.sh

.PHONY: controlplane
controlplane: setup ## Build etcd, kube-apiserver and kubectl once (cached between checkouts).
	@hack/controlplane.sh

.PHONY: vm
vm: setup ## Build the emulated guest once (cached between checkouts), and bin/quorate-vm, which runs things in it.
	@hack/vm.sh
	@$(GO_BUILD) -o $(BIN)/quorate-vm ./test/vm/quorate-vm

##@ Test

.PHONY: test
test: build controlplane vm ## Set everything up and run all tests: unit, scenarios, simulation, API, guest, lab.
	@hack/test.sh

.PHONY: test-unit
test-unit: ## Only the tests that need no API server, no root and no lab.
	@go test $(PURE) ./pkg/heartbeat/... ./api/...

.PHONY: test-e2e
test-e2e: build controlplane ## Only the end-to-end tests on the lab (RUN=name picks some).
	@$(SUDO) KUBEBUILDER_ASSETS=$(KUBEBUILDER_ASSETS) QUORATE_BIN=$(BIN) go test ./test/e2e ./test/e2e/twonode ./test/e2e/hyper ./test/e2e/postgres -p 1 -count=1 -timeout 25m -v $(if $(RUN),-run '$(RUN)')

.PHONY: test-autonomy
test-autonomy: build controlplane ## Only the lab's tests with the control plane on the hosts that die, or gone (RUN=name picks some).
	@$(SUDO) KUBEBUILDER_ASSETS=$(KUBEBUILDER_ASSETS) QUORATE_BIN=$(BIN) go test ./test/e2e/hyper -count=1 -timeout 25m -v $(if $(RUN),-run '$(RUN)')

.PHONY: test-postgres-failover
test-postgres-failover: build controlplane ## PostgreSQL on a shared disk, a client that writes, and power cuts: no acknowledged row is lost (CUTS=20).
	@$(SUDO) KUBEBUILDER_ASSETS=$(KUBEBUILDER_ASSETS) QUORATE_BIN=$(BIN) QUORATE_POWER_CUTS=$(or $(CUTS),20) go test ./test/e2e/postgres -count=1 -timeout 60m -v $(if $(RUN),-run '$(RUN)')

.PHONY: test-vm
test-vm: build vm ## Only the tests that need real disks, NFS or watchdogs, in an emulated guest (RUN=regexp, PACKAGES=...).
	@RUN='$(RUN)' PACKAGES='$(PACKAGES)' hack/test-vm.sh

.PHONY: soak
soak: ## Run whole simulated clusters through storms of faults and report (SEEDS=2000, FIRST=1, SHRINK=300 runs for each failure).
	@go test ./test/sim/cluster -count=1 -timeout 24h -v -run 'TestCluster$$' -sim.keep-going -sim.seeds $(or $(SEEDS),2000) -sim.first $(or $(FIRST),1) -sim.shrink $(or $(SHRINK),300)

.PHONY: sim-mutants
sim-mutants: ## Take one rule away at a time and show with which seed the simulation finds it (SEEDS=1000 at most for each).
	@go test -tags mutation ./test/sim/cluster -count=1 -timeout 2h -v -run TestMutants -sim.mutant-seeds $(or $(SEEDS),1000)

.PHONY: test-full
test-full: test ## Everything that `make test` runs, then longer simulations and more rounds of the lab.
	@hack/test-full.sh

.PHONY: mutate
mutate: ## Change the code of decisions in one place at a time and list what no test notices (PACKAGES=policy EVERY=1).
	@go run ./hack/mutate -every $(or $(EVERY),1) $(or $(PACKAGES),quorum lifecycle policy)

.PHONY: fuzz
fuzz: ## Fuzz every parser of outside data for a while each (FUZZTIME=30s).
	@hack/fuzz.sh

.PHONY: bench
bench: bench-policy bench-quorum bench-failover bench-autonomy bench-resources ## Every measurement, with the rivals' figures beside ours.

.PHONY: bench-failover
bench-failover: build controlplane ## Time failovers, moves and restarts in the lab, by phase (N=5 repetitions).
	@$(SUDO) QUORATE_BIN=$(BIN) KUBEBUILDER_ASSETS=$(KUBEBUILDER_ASSETS) $(BIN)/quorate-lab bench --repetitions $(N)

.PHONY: bench-autonomy
bench-autonomy: build controlplane ## Time the death of a host that has a part of the control plane, or while there is none (N=5).
	@$(SUDO) QUORATE_BIN=$(BIN) KUBEBUILDER_ASSETS=$(KUBEBUILDER_ASSETS) $(BIN)/quorate-lab bench --autonomy --repetitions $(N)

.PHONY: bench-resources
bench-resources: build controlplane ## Time and weigh many groups: 200 of 3 resources on one host, and the death of a host with 1,000.
	@$(SUDO) QUORATE_BIN=$(BIN) KUBEBUILDER_ASSETS=$(KUBEBUILDER_ASSETS) $(BIN)/quorate-lab bench --resources

.PHONY: bench-quorum
bench-quorum: build controlplane ## Time view agreement, heartbeats of 3, 16 and 64 nodes, and two hosts with a disk witness (N=5).
	@$(BIN)/quorate-lab bench quorum
	@$(SUDO) QUORATE_BIN=$(BIN) KUBEBUILDER_ASSETS=$(KUBEBUILDER_ASSETS) $(BIN)/quorate-lab bench --two-nodes --repetitions $(N)

.PHONY: bench-policy
bench-policy: build ## Time decisions about 64 nodes and 100 to 30,000 groups, with Pacemaker's scheduler beside ours.
	@$(BIN)/quorate-lab bench policy

##@ Check

.PHONY: generate
generate: ## Regenerate deep copies, CRDs and apply configurations.
	@hack/generate.sh

.PHONY: verify
verify: setup ## Generated code is current, lint is clean, import rules hold, links in documents resolve.
	@hack/verify.sh

.PHONY: lint
lint: ## Run the linter.
	@hack/lint.sh

.PHONY: fmt
fmt: ## Format the code.
	@gofmt -s -w api cmd controllers pkg test hack/controlplane

.PHONY: clean
clean: ## Remove what was built here (not the cache of heavy tools).
	@rm -rf $(BIN)
