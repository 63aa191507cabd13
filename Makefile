# make run, make test, make bench: each one first installs what the build needs and is missing.

CARGO ?= cargo
# Arguments of the server: make run ARGS="--pool-max 200"
ARGS ?=
# Arguments of the comparison: make bench BENCH=--quick
BENCH ?=

.DEFAULT_GOAL := help
.PHONY: help run test bench setup

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Build in release mode and start the server, with ARGS="--pool-max 200" or such
	@$(CARGO) run --release --locked --bin sandpool -- serve $(ARGS)

# The tests link no examples, which the lints have compiled.
test: setup ## Formatting, lints, all tests, documentation: no warning passes
	@bash scripts/setup.sh lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --workspace --exclude sandpool-peers --locked --tests
	$(CARGO) test --workspace --exclude sandpool-peers --locked --doc
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --workspace --locked

# The server is built by itself: what the peers ask of shared dependencies must not change it.
bench: setup ## Measure the server beside its peers (a quarter of an hour, or BENCH=--quick), then the parts
	@command -v python3 >/dev/null || { echo "make bench needs python3, for bench/compare" >&2; exit 1; }
	$(CARGO) build --release --locked -p sandpool --bin sandpool
	$(CARGO) build --release --locked -p sandpool-wrk
	$(CARGO) build --release --locked -p sandpool-peers
	python3 bench/compare $(BENCH)
	$(CARGO) bench --locked -p sandpool-bench

setup: ## Install what the build needs: a C compiler, make, cmake
	@bash scripts/setup.sh
