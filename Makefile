# Two commands do all the set-up on a fresh machine:
#   make run     builds and runs Millrace, with a synthetic camera beside every other there is
#   make test    installs what the tests need, and runs them
# `make help` lists the rest.

GO      ?= go
ARGS    ?=
DATA    ?= rec
BIN     := bin/millrace
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

.DEFAULT_GOAL := help
.PHONY: help run build test lint breaches allocs bench bench-full gobench pgo fuzz torture trace cross hil power clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/millrace, stripped
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/millrace

run: build ## record and serve a synthetic camera and every other there is, until Ctrl-C
	exec ./$(BIN) run --data $(DATA) $(ARGS)

test: ## install what the tests need, then trace, then all tests with the race detector
	@bash .ci/packages
	@$(MAKE) --no-print-directory trace
	$(GO) test -race -shuffle=on -count=1 -timeout 20m ./... ./.ci/trace

lint: ## the house rules, and that each of them catches its breach
	@bash .ci/lint

breaches: ## only that each house rule catches its breach
	@bash .ci/breaches

trace: ## which tests name which requirement; fails where a built one has none
	@$(GO) run ./.ci/trace

allocs: ## the guard on allocations: none for a frame from the socket to the file
	@bash .ci/allocs

bench: build ## a short run of every measurement, into bin/bench: figures and pages (NAMES="queue pack")
	@bash .ci/bench

bench-full: build ## five runs of each at full length, whose medians count (COUNT=5)
	@COUNT=$(or $(COUNT),5) bash .ci/bench

gobench: ## the Go benchmarks of the packages, in benchstat's form (COUNT=10 for statistics)
	@bash .ci/gobench

pgo: ## whether profile-guided optimisation pays: benchstat with and without (COUNT=10)
	@bash .ci/pgo

fuzz: ## every fuzz target for a short while (FUZZTIME=10s)
	@bash .ci/fuzz

torture: ## the long trials: the same tests with large counts
	@bash .ci/packages
	MILLRACE_TORTURE=1 $(GO) test -race -shuffle=on -count=1 -timeout 4h ./...

cross: ## amd64, arm64 and armv7, without cgo and with it (V4L2), each under the size limit
	@bash .ci/cross

hil: ## V4L2 against the kernel's virtual devices in a virtual machine (ARCH=arm64, RUN=REGEXP, COUNT=N)
	@bash .ci/hil

power: ## power cuts under a recorder in that machine, COUNT=30 over the three sync policies (RUN=REGEXP)
	@POWER=$(or $(COUNT),30) COUNT= bash .ci/hil

clean: ## what was built; recordings stay
	rm -rf bin
