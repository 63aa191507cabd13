# make run, make test, make bench: each one first installs what the build needs and is missing.

CARGO ?= cargo
# Arguments of the server: make run ARGS="--pool-max 200"
ARGS ?=

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
	$(CARGO) test --workspace --locked --tests
	$(CARGO) test --workspace --locked --doc
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --workspace --locked

bench: setup ## Run the benchmarks in release mode
	$(CARGO) bench --workspace --locked

setup: ## Install what the build needs: a C compiler, make, cmake
	@bash scripts/setup.sh
