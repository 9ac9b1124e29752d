# The only door: people and CI come in here.
.PHONY: help run test lint bench fuzz install

help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: ## start the hub on http://127.0.0.1:8080
	cargo run --release --quiet -- serve

install: ## what the tests need, by name from apt, npm and pip
	tests/install.sh

test: install ## every test there is
	if cargo nextest --version >/dev/null 2>&1; then cargo nextest run; else cargo test --lib --bins --tests; fi
	cargo test --doc --quiet

lint: ## formatting, clippy, links between documents
	cargo fmt --all --check
	cargo clippy --all-targets -- -D warnings
	cargo fmt --check --manifest-path benches/contenders/Cargo.toml
	cargo clippy --quiet --manifest-path benches/contenders/Cargo.toml --target-dir target/contenders/build -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

bench: ## the figures, with the questions they answer, beside the hub's peers
	benches/contenders/install.sh
	cargo bench

FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

fuzz: ## look for inputs that break a promise, FUZZ_SECONDS each target; needs cargo-fuzz and a nightly compiler
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 || exit 1; \
	done
