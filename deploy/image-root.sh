#!/usr/bin/env bash
# Makes the file system of the image: the program, the libraries that it links to, root certificates, its user, and /data.
# There is no shell and no package in it, so there is nothing to patch but the hub and these libraries.
#   deploy/image-root.sh BINARY DIR
set -euo pipefail

[ $# = 2 ] || { echo "usage: $0 BINARY DIR" >&2; exit 2; }
binary=$1 root=$2
umask 022

install -D -m 0755 "$binary" "$root/usr/bin/gapless"
strip "$root/usr/bin/gapless"
# The libraries, at the paths where the program's loader looks for them.
ldd "$binary" | sed -n 's|.*=> \(/[^ ]*\) .*|\1|p; s|^[[:space:]]*\(/[^ ]*\) (.*|\1|p' | while read -r library; do
  install -D -m 0755 "$library" "$root$library"
done
# For providers of the relay, issuers' keys and ACME.
install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
echo 'gapless:x:10001:10001::/data:/nonexistent' > "$root/etc/passwd"
echo 'gapless:x:10001:' > "$root/etc/group"
# Names are resolved by /etc/hosts, then DNS.
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
install -d -m 0700 "$root/data"
chown 10001:10001 "$root/data"
install -d -m 1777 "$root/tmp"
