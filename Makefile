# make run, make test, make bench, make bench-micro: each one first installs what the build needs and is missing.

CARGO ?= cargo
# Arguments of the server: make run ARGS="--pool-max 200"
ARGS ?=
# Arguments of the comparison: make bench BENCH=--quick; --quick and --publish are meant for the parts as well
BENCH ?=
# Arguments of the benchmarks of the parts: make bench-micro MICRO=--quick; make bench has them, too
MICRO ?=

.DEFAULT_GOAL := help
.PHONY: help run test bench bench-micro setup

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
	@if command -v python3 >/dev/null; then python3 -m unittest discover bench/compare && python3 -m unittest discover bench/micro; else echo "no python3: bench/compare and bench/micro, which need it, are not tested"; fi

# The server is built by itself: what the peers ask of shared dependencies must not change it.
# A row that failed (1) is no reason to leave out the parts; a wrong argument or an interrupt (more) is.
bench: setup ## Build all, measure the server beside its peers, then the parts (an hour, or BENCH=--quick)
	@command -v python3 >/dev/null || { echo "make bench needs python3, for bench/compare and bench/micro" >&2; exit 1; }
	$(CARGO) build --release --locked -p sandpool --bin sandpool
	$(CARGO) build --release --locked -p sandpool-wrk
	$(CARGO) build --release --locked -p sandpool-peers
	python3 bench/compare $(BENCH); compared=$$?; [ $$compared -le 1 ] || exit $$compared; \
	CARGO="$(CARGO)" python3 bench/micro $(filter --quick --publish,$(BENCH)) $(MICRO) && exit $$compared

bench-micro: setup ## Measure the parts by themselves (some minutes, or MICRO=--quick)
	@command -v python3 >/dev/null || { echo "make bench-micro needs python3, for bench/micro" >&2; exit 1; }
	CARGO="$(CARGO)" python3 bench/micro $(MICRO)

setup: ## Install what the build needs: a C compiler, make, cmake
	@bash scripts/setup.sh
