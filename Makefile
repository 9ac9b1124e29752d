# All tasks of the project, for people and for CI: `make help` lists them.
.PHONY: help run faults test jetstream simulate lint docs console screenshots bench soak report fuzz install release

# Where tests/install.sh puts what it gets from pip, as cargo-nextest.
export PATH := $(CURDIR)/target/venv/bin:$(PATH)

# A crate of its own, so that nothing it needs is needed by the hub.
REPORT := --manifest-path benches/report/Cargo.toml --target-dir target/report --quiet

help: ## list the tasks
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: ## start the hub on http://127.0.0.1:8080
	@echo 'Building the hub. The first time this takes several minutes; later it starts at once.'
	cargo run --profile quick --locked -- serve

install: ## what the tests need, by name from apt, npm and pip
	tests/install.sh

# Debug assertions, and code that is four times as fast as a debug build's. Crates that the simulation shares with the other tests
# stay as they are, and are not built twice.
SIMULATION := --locked --features simulation --test simulation --config profile.dev.package.gapless.opt-level=1 \
	$(foreach crate,shuttle shuttle-engine shuttle-std bitvec corosensei,--config profile.dev.package.$(crate).opt-level=3)

# Most tests wait for a disk, a timer or another process more than they compute.
THREADS := $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

test: install ## every test there is
	cargo test $(SIMULATION) --quiet
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --locked --workspace --no-fail-fast $(if $(CI),--profile ci) --test-threads $(THREADS); else cargo test --locked --workspace --lib --bins --tests; fi
	@$(MAKE) --no-print-directory jetstream
	cargo test --locked --workspace --doc --quiet
	cargo test $(REPORT)
	npm --prefix console test
	npm --prefix console run e2e
	GAPLESS_BIN="$(CURDIR)/target/debug/gapless" npm --prefix clients/js test
	GAPLESS_BIN="$(CURDIR)/target/debug/gapless" clients/python/test.sh
	GAPLESS_BIN="$(CURDIR)/target/debug/gapless" clients/rust/test.sh

# Files of tests/promises and tests/mercure: one for each area of the protocols.
AREAS ?= publishing binary keys beginning gap reconnect replay removal topics end pages ordering post_events publish_stream several_hubs traceparent \
	cloudevents delivery resuming
OVER_JETSTREAM := --test promises --test crash --test mercure -- $(if $(AREAS),$(AREAS:%=%::) killed_at_random a_batch_of_as_many)

jetstream: ## the promises of AREAS, and kills, with hubs over NATS JetStream; all of them with AREAS=
	export GAPLESS_TEST_ENGINE=jetstream NEXTEST_TEST_THREADS=4 RUST_TEST_THREADS=4; if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --locked $(if $(CI),--profile ci) $(OVER_JETSTREAM); else cargo test --locked $(OVER_JETSTREAM); fi

SEEDS ?= 100000

faults: ## three hubs over three NATS servers, with kills, pauses, cut networks and full disks; a checker judges
	cargo nextest run --locked --test jetstream --no-fail-fast -E 'test(/^cluster::/)'

simulate: ## the interleavings of SEEDS seeds, or with GAPLESS_SEED=K that of seed K
	GAPLESS_SEEDS=$(SEEDS) cargo test $(SIMULATION) every_reader -- --nocapture

lint: install ## formatting, clippy, types, the book and its links, and whether console/dist is what console/src becomes
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --features simulation --test simulation -- -D warnings
	cargo fmt --check --manifest-path benches/contenders/Cargo.toml
	cargo clippy --quiet --manifest-path benches/contenders/Cargo.toml --target-dir target/contenders/build -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	cargo fmt --manifest-path benches/report/Cargo.toml --check
	cargo clippy $(REPORT) --all-targets -- -D warnings
	clients/rust/test.sh check
	npm --prefix console run check
	npm --prefix clients/js run check
	clients/python/test.sh check
	python3 docs/book/build.py

docs: install ## the documents as a book with search, in target/book; a dead link is an error
	python3 docs/book/build.py

console: install ## build the web page into console/dist, which the program includes
	npm --prefix console run build

screenshots: install ## docs/console/*.png: every view of the web page, of a hub that runs
	cargo build --locked
	npm --prefix console run screenshots

bench: ## the figures, with the questions they answer, beside the hub's peers, in docs/BENCHMARKS.md
	benches/contenders/install.sh
	cargo bench
	@$(MAKE) --no-print-directory report

SOAK_MINUTES ?= 30

soak: ## a mixed load for SOAK_MINUTES: is everything flat, is nothing lost
	GAPLESS_SOAK_MINUTES=$(SOAK_MINUTES) cargo bench --bench sustained
	@$(MAKE) --no-print-directory report

report: ## docs/BENCHMARKS.md of what the benches wrote last
	cargo run --release $(REPORT)

release: ## a tarball, a Debian package, an SBOM and SHA256SUMS in target/release-files
	deploy/release.sh

FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

fuzz: ## look for inputs that break a promise, FUZZ_SECONDS each target; needs cargo-fuzz and a nightly compiler
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 || exit 1; \
	done
