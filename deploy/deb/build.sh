#!/usr/bin/env bash
# Builds the Debian package of a binary that is there already, with dpkg-deb alone. The same inputs give the same bytes:
# times are those of SOURCE_DATE_EPOCH (default: the last commit), owners are root.
#   deploy/deb/build.sh --binary target/release/gapless --out DIR [--version V] [--compression xz|none]
# Needs binutils (strip, objdump). Prints the path of the package.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
deploy=$(dirname "$here")
top=$(dirname "$deploy")
binary='' out='' version='' compression=xz
while [ $# -gt 0 ]; do
  case $1 in
    --binary) binary=$2 ;; --out) out=$2 ;; --version) version=$2 ;; --compression) compression=$2 ;;
    *) echo "build.sh: there is no option $1" >&2; exit 2 ;;
  esac
  shift 2
done
[ -x "$binary" ] && [ -n "$out" ] || { echo "build.sh: give --binary FILE and --out DIR" >&2; exit 2; }
version=${version:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$top/Cargo.toml" | head -n 1)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct)}
export LC_ALL=C TZ=UTC
umask 022

root=$(mktemp -d)
chmod 0755 "$root"
trap 'rm -rf "$root"' EXIT
install -d "$root/DEBIAN" "$root/usr/bin" "$root/usr/lib/systemd/system" "$root/usr/share/doc/gapless" \
  "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
  "$root/usr/share/fish/vendor_completions.d" "$root/etc/gapless"

# The program, and what it prints of itself.
program=$root/usr/bin/gapless
install -m 0755 "$binary" "$program"
strip "$program"
"$program" completions bash > "$root/usr/share/bash-completion/completions/gapless"
"$program" completions zsh > "$root/usr/share/zsh/vendor-completions/_gapless"
"$program" completions fish > "$root/usr/share/fish/vendor_completions.d/gapless.fish"
"$program" man --to "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1

# The units of deploy/, with Debian's path, the packaged configuration, and the package's user in place of a dynamic one: so
# files in /etc/gapless can belong to its group, and backups find the store in /var/lib/gapless.
sed -e 's|/usr/local/bin/gapless|/usr/bin/gapless|' \
    -e 's|^EnvironmentFile=|Environment=GAPLESS_CONFIG=/etc/gapless/gapless.toml\n&|' \
    -e 's|^DynamicUser=yes$|User=gapless\nGroup=gapless\nPrivateTmp=yes\nRemoveIPC=yes|' \
    -e 's|/etc/systemd/system/|/usr/lib/systemd/system/|' \
    "$deploy/gapless.service" > "$root/usr/lib/systemd/system/gapless.service"
sed 's|/etc/systemd/system/|/usr/lib/systemd/system/|' "$deploy/gapless.socket" > "$root/usr/lib/systemd/system/gapless.socket"

install -m 0644 "$here/gapless.toml" "$root/etc/gapless/gapless.toml"
install -m 0644 "$here/copyright" "$root/usr/share/doc/gapless/copyright"
gzip -9nc "$top/CHANGELOG.md" > "$root/usr/share/doc/gapless/changelog.gz"
install -m 0644 "$top/docs/OPERATIONS.md" "$top/SECURITY.md" "$root/usr/share/doc/gapless/"

# What it links to: the newest version of the C library that one of its symbols asks for.
libc=$(objdump -T "$program" | sed -n 's/.*(\?GLIBC_\([0-9.]*\).*/\1/p' | sort -Vu | tail -n 1)
size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f 1)
cat > "$root/DEBIAN/control" <<CONTROL
Package: gapless
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: The gapless maintainers <gapless@localhost>
Installed-Size: $size
Depends: adduser, procps, libc6 (>= $libc), libgcc-s1
Recommends: ca-certificates
Section: net
Priority: optional
Description: event-broadcast hub with durable replay
 Publishers POST events to topics, subscribers read them as Server-Sent Events.
 Every event is on disk before any client receives it, so a client that was
 disconnected, slow or restarted receives every event it missed, in order, once,
 or a report of exactly what is gone.
CONTROL
echo /etc/gapless/gapless.toml > "$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "$here/$script" "$root/DEBIAN/$script"; done
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) > "$root/DEBIAN/md5sums"

find "$root" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$out"
package=$out/gapless_${version}_$(dpkg --print-architecture).deb
# One thread: several divide the archive in another way.
dpkg-deb --root-owner-group --threads-max=1 -Z"$compression" --build "$root" "$package" >&2
echo "$package"
