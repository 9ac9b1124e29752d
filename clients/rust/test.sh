#!/usr/bin/env bash
# Packs the crate, builds a program with what was packed, as a stranger does, and runs clients/vectors with it against the real hub.
#   clients/rust/test.sh [SCENARIO…]
#   clients/rust/test.sh check      formatting and clippy of that program
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
packed=target/client-package
version=$(sed -n 's/^version = "\(.*\)"/\1/p' clients/rust/Cargo.toml)

cargo package --quiet --locked --package gapless-client --no-verify --allow-dirty
rm -rf "$packed"
mkdir -p "$packed"
tar -xzf "target/package/gapless-client-$version.crate" -C "$packed"
mv "$packed/gapless-client-$version" "$packed/gapless-client"

# Each program of the README, with the address of the test's hub.
rm -rf target/client-readme
mkdir -p target/client-readme
awk '/^```rust/ { name = "target/client-readme/" ++count ".rs"; next } /^```/ { name = "" } name { print > name }' clients/rust/README.md
sed -i 's|"https://hub.example"|\&std::env::var("HUB_URL").expect("HUB_URL")|' target/client-readme/*.rs

consumer=(--locked --manifest-path clients/rust/consumer/Cargo.toml)
needed=$(cargo tree "${consumer[@]}" --prefix none --edges normal,build)
if grep -E '^(gapless|sled|clap|tikv-jemallocator|async-nats|zstd) ' <<< "$needed"; then
  echo "test.sh: a user of the client compiles the crates above, which only the hub needs" >&2
  exit 1
fi
if [ "${1-}" = check ]; then
  rustfmt --check --edition 2024 clients/rust/consumer/src/main.rs
  exec cargo clippy --quiet "${consumer[@]}" --bin consumer --target-dir target/client-consumer -- -D warnings
fi
cargo build --quiet "${consumer[@]}" --target-dir target/client-consumer
export GAPLESS_BIN=${GAPLESS_BIN:-$top/target/debug/gapless} GAPLESS_VECTORS=$top/clients/vectors
exec target/client-consumer/debug/consumer "$@"
