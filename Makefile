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
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

bench: ## the figures, with the questions they answer
	cargo bench
