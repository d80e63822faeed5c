# Every target sets up what it needs and is quick when nothing is missing.
SHELL := /bin/sh
CARGO ?= cargo
PYTHON ?= python3
NPM ?= npm
PLINTH := target/release/plinth
PEER := crates/bench/peers/postgraphile
QUEUES := crates/bench/peers/queues
AWA := crates/bench/peers/awa

.PHONY: help setup up test check bench clean

help: ## Show these lines
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

setup: .postgres/.stamp tests/clients/node_modules/.stamp tests/clients/.python/.stamp ## Fetch PostgreSQL and the packages of the test clients

up: .postgres/.stamp ## Build and start everything; print URLs and keys
	$(CARGO) build --release --locked --package plinth-server
	@exec $(PLINTH) up $(ARGS)

test: setup ## Run every test
	$(CARGO) test --workspace --locked
	tests/clients/run

check: ## Check format, lints, documentation and dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked
	$(PYTHON) scripts/audit-dependencies

bench: .postgres/.stamp $(PEER)/node_modules/.stamp $(QUEUES)/node_modules/.stamp target/awa/.stamp ## Measure requests beside pgbench and PostGraphile, jobs beside other queues
	$(CARGO) build --release --locked --package plinth-server --package plinth-bench
	target/release/plinth-bench $(ARGS)

clean: ## Remove what was built, fetched and stored (the default data folder too)
	away=$$(readlink .plinth/elsewhere) && rm -rf "$$away" || true
	rm -rf target .postgres .plinth tests/clients/node_modules tests/clients/.python examples/node_modules $(PEER)/node_modules $(QUEUES)/node_modules

.postgres/.stamp: scripts/fetch-postgres
	$(PYTHON) scripts/fetch-postgres
	@test ! -d .postgres || touch $@  # nothing is fetched where PLINTH_PG_BIN names another

tests/clients/node_modules/.stamp: tests/clients/package-lock.json
	$(NPM) ci --prefix tests/clients --ignore-scripts --no-audit --no-fund
	@touch $@

# Without it the benchmark says so and measures the rest. It brings the Node that it wants, so npm need not warn of this one.
$(PEER)/node_modules/.stamp: $(PEER)/package-lock.json
	-$(NPM) ci --prefix $(PEER) --ignore-scripts --loglevel error --no-audit --no-fund && touch $@

$(QUEUES)/node_modules/.stamp: $(QUEUES)/package-lock.json
	-$(NPM) ci --prefix $(QUEUES) --ignore-scripts --loglevel error --no-audit --no-fund && touch $@

target/awa/.stamp: $(AWA)/Cargo.lock $(AWA)/src/main.rs
	-$(CARGO) build --release --locked --manifest-path $(AWA)/Cargo.toml --target-dir target/awa && touch $@

tests/clients/.python/.stamp: tests/clients/requirements.txt
	rm -rf tests/clients/.python
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target tests/clients/.python -r $<
	@touch $@
