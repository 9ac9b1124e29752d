#!/usr/bin/env bash
# Builds and installs the contenders below target/contenders. Those that cannot be installed are named, and the
# benches run without them. Does nothing when all of them are installed.
set -uo pipefail
cd "$(dirname "$0")/../.."

root=target/contenders
complain() { echo "contenders: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo; then sudo "$@"; else return 1; fi; }

# Our own: the floor, and a straightforward hub.
cargo build --release --quiet --locked --manifest-path benches/contenders/Cargo.toml --target-dir $root/build ||
  complain "floor and naive_axum cannot be built"

# From crates.io.
[ -x $root/bin/durable-streams-server ] ||
  timeout 900 cargo install --quiet --locked --root $root --target-dir $root/build durable-streams@0.1.5 ||
  complain "durable-streams cannot be built"

# In Go: Centrifugo's own command, and ours around Mercure's library (AGPL-3.0: run here, not distributed). Each builds
# for some minutes.
if [ ! -x $root/bin/mercure ] || [ ! -x $root/bin/centrifugo ]; then
  if have go; then
    export GOBIN=$PWD/$root/bin GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
    [ -x $root/bin/centrifugo ] ||
      timeout 1800 go install github.com/centrifugal/centrifugo/v6@v6.9.1 ||
      complain "centrifugo cannot be built"
    [ -x $root/bin/mercure ] ||
      timeout 1800 go build -C benches/contenders/mercure -o "$GOBIN/mercure" . ||
      complain "mercure cannot be built"
  else
    complain "mercure and centrifugo cannot be built: there is no Go"
  fi
fi

# From apt, with nginx's modules in Debian's directory.
missing=()
[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing+=(nginx libnginx-mod-nchan)
have node || missing+=(nodejs)
have npm || missing+=(npm)
have redis-server || missing+=(redis-server)
if have python3 && ! python3 -c 'import ensurepip' 2>/dev/null; then missing+=(python3-venv); fi
if [ "${#missing[@]}" -gt 0 ]; then
  have apt-get && as_root apt-get update -q &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${missing[@]}" ||
    complain "apt-get could not install: ${missing[*]}"
fi
# From PyPI: LiteLLM's proxy. 1.109 needs a version of litellm-proxy-extras that PyPI did not have on 2026-11-26.
litellm=1.108.7
if [ "$($root/litellm/bin/python -m pip list --format=freeze 2>/dev/null | grep '^litellm==')" != litellm==$litellm ]; then
  { python3 -m venv $root/litellm &&
    timeout 1800 $root/litellm/bin/python -m pip install -q --disable-pip-version-check "litellm[proxy]==$litellm"; } ||
    complain "litellm cannot be installed"
fi

# From npm: resumable-stream and the client of Redis that it needs, and the reference server of Durable Streams, each for our
# server around it.
for name in resumable durable_streams; do
  dir=benches/contenders/$name
  cmp -s $dir/package-lock.json $dir/node_modules/.installed && continue
  if have npm && npm --prefix $dir ci --ignore-scripts --loglevel=error; then
    cp $dir/package-lock.json $dir/node_modules/.installed
  else
    complain "what $dir/package.json lists cannot be installed"
  fi
done
exit 0
