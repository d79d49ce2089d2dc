# Every target first installs what it lacks. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: fuzz help run demo test lint deny bench interop build

CARGO ?= cargo
NEEDS := packaging/linux/install-needs.sh
# The window draws on the processor in tests: no graphics driver is needed, and pictures are the same everywhere.
PLAIN := --locked --no-default-features
INTEROP := --test interop --test kamailio --test link --test load --test phones --test window
export CARGO_TERM_COLOR ?= auto

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start Parlour
	@$(NEEDS) run
	$(CARGO) run --locked --release -p app --bin parlour

build: ## Build window and command line without a graphics driver, as the tests use them
	@$(NEEDS) build
	$(CARGO) build $(PLAIN) -p app -p cli

demo: ## Host a real conference of four on this machine and see every line arrive
	@$(NEEDS) demo
	$(CARGO) build $(PLAIN) -p app -p cli -p stories --bins --example demo
	target/debug/examples/demo

test: ## Run all tests but the long ones
	@$(NEEDS) test
	$(CARGO) build $(PLAIN) -p app -p cli --bins
	$(CARGO) test $(PLAIN) --workspace

interop: ## Run the tests with real phones and a real window; a part: ONLY="--test phones four_by_udp"
	@$(NEEDS) interop
	$(CARGO) build $(PLAIN) -p app -p cli --bins
	$(CARGO) test $(PLAIN) -p stories $(or $(ONLY),$(INTEROP)) -- --nocapture

lint: ## Check format, lints, documentation, licences and sources
	@$(NEEDS) lint
	@packaging/linux/install-linters.sh
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(PLAIN) --workspace --all-targets -- -D warnings
	$(CARGO) clippy $(PLAIN) -p stories $(INTEROP) -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(PLAIN) --workspace --no-deps
	@$(MAKE) --no-print-directory deny

deny: ## Check licences, sources and banned crates
	@if ! $(CARGO) deny --version >/dev/null 2>&1; then \
	  echo "Installing cargo-deny (a few minutes, once)"; \
	  $(CARGO) install --locked --quiet cargo-deny || { echo "cargo-deny cannot be installed here: licences and sources were NOT checked." >&2; exit 1; }; \
	fi
	$(CARGO) deny check bans licenses sources

bench: ## Measure conferences of 10 and 100 beside the floor on this machine; shorter: BENCH="--n 10 --seconds 3"
	@$(NEEDS) bench
	$(CARGO) build --locked --release --no-default-features -p cli --bins
	$(CARGO) bench --locked -p cli --bench conference -- $(BENCH)
	$(CARGO) bench --locked -p sip-core --bench messages --bench endpoint

fuzz: ## Fuzz every parser from its seeds, 20 s each; longer: SECONDS=600
	@$(NEEDS) test
	fuzz/run.sh $(or $(SECONDS),20)
