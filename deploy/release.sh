#!/usr/bin/env bash
# Makes the files of a release in DIR: a tarball, a Debian package, an SBOM, and checksums.
#   deploy/release.sh [--out target/release-files] [--binary FILE [--compression none]]
# Archives, package and SBOM of the same program and commit have the same bytes: times are those of the commit
# (SOURCE_DATE_EPOCH), archives are sorted and have no owner. No path of the machine is in the program, but cargo derives the names
# of its symbols from the directory: build it at the same path to get the same program. With --binary nothing is compiled,
# and with --compression none little time is spent: for the tests.
set -euo pipefail

deploy=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$deploy")
out=$top/target/release-files binary='' compression=xz
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2 ;; --binary) binary=$2 ;; --compression) compression=$2 ;;
    *) echo "release.sh: there is no option $1" >&2; exit 2 ;;
  esac
  shift 2
done
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct)}
export LC_ALL=C TZ=UTC
umask 022
cd "$top"

if [ -z "$binary" ]; then
  cargo_home=${CARGO_HOME:-$HOME/.cargo}
  target=${CARGO_TARGET_DIR:-$top/target}
  sysroot=$(rustc --print sysroot)
  # rustc's paths, in panics; and those of the C code of aws-lc and jemalloc, in assertions. The target directory is in both.
  maps="$target=/target $top=/gapless $cargo_home=/cargo $sysroot=/rust"
  flags=''
  for map in $maps; do flags+=" --remap-path-prefix=$map"; done
  export RUSTFLAGS="${RUSTFLAGS:-}$flags"
  for map in $maps; do CFLAGS="${CFLAGS:-} -ffile-prefix-map=$map"; done
  export CFLAGS
  # Else cargo would compile in as many parts as it likes at the time.
  export CARGO_INCREMENTAL=0
  cargo build --release --locked --bin gapless
  binary=$target/release/gapless
fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
machine=$(rustc -vV | sed -n 's/^host: //p')
name=gapless-$version-$machine
mkdir -p "$out"
rm -f "$out"/gapless* "$out/SHA256SUMS"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install -D -m 0755 "$binary" "$work/$name/gapless"
strip "$work/$name/gapless"
install -D -m 0644 -t "$work/$name" README.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE
# What the documents name and what needs no source tree.
find deploy/gapless.service deploy/gapless.socket deploy/compose.yml deploy/nginx.conf deploy/Caddyfile deploy/haproxy.cfg \
  deploy/compose.jetstream.yml deploy/nats.conf deploy/nginx.hubs.conf deploy/haproxy.hubs.cfg deploy/away.http \
  deploy/helm deploy/prometheus/alerts.yml deploy/grafana/gapless.json -type f -print0 |
  while IFS= read -r -d '' file; do install -D -m 0644 "$file" "$work/$name/$file"; done
install -D -m 0644 -t "$work/$name/docs" docs/*.md
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=ustar -C "$work" -cf - "$name" \
  | gzip "$([ "$compression" = none ] && echo -1n || echo -9n)" > "$out/$name.tar.gz"
"$deploy/deb/build.sh" --binary "$binary" --out "$out" --compression "$compression" > /dev/null
cargo metadata --locked --format-version 1 --filter-platform "$machine" \
  | python3 "$deploy/sbom.py" "$SOURCE_DATE_EPOCH" > "$out/$name.cdx.json"
(cd "$out" && sha256sum -- gapless* > SHA256SUMS)
ls -l "$out"
