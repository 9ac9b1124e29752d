#!/usr/bin/env bash
# Builds the wheel, installs it into a fresh venv, type-checks the tests there as its consumer, and runs them against the real hub.
# `check` is lint alone. Else the arguments are pytest's.
set -euo pipefail
cd "$(dirname "$0")"

tools=$PWD/../../target/python-venv/bin
if [ ! -x "$tools/python" ]; then echo 'no target/python-venv: make install' >&2; exit 1; fi

if [ "${1:-}" = check ]; then
  "$tools/ruff" check -q --no-cache .
  "$tools/ruff" format -q --no-cache --check .
  "$tools/mypy" --cache-dir .mypy_cache src
  exit
fi

binary=${GAPLESS_BIN:-../../target/debug/gapless}
if [ ! -x "$binary" ]; then echo "no hub at $binary: cargo build, or GAPLESS_BIN" >&2; exit 1; fi
GAPLESS_BIN=$(realpath "$binary")
GAPLESS_VECTORS=$(realpath ../vectors)
export GAPLESS_BIN GAPLESS_VECTORS
unset PYTHONPATH

fresh=$PWD/.fresh
rm -rf "$fresh"
"$tools/hatchling" build -t wheel -d "$fresh/dist"
"$tools/python" -m venv --without-pip "$fresh/venv"
# The wheel is the only thing in it; what it depends on, and pytest, are found where they are installed. So no index is asked.
site=$("$fresh/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$tools/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$site/tools.pth"
"$tools/python" -m pip --python "$fresh/venv/bin/python" install -q --disable-pip-version-check --no-index --no-deps "$fresh"/dist/*.whl

mkdir "$fresh/readme"
"$fresh/venv/bin/python" tests/readme.py README.md "$fresh/readme"
"$tools/mypy" --cache-dir .mypy_cache --no-warn-unreachable --python-executable "$fresh/venv/bin/python" tests "$fresh/readme" &
types=$!
trap 'kill $types 2>/dev/null || true' EXIT
export GAPLESS_README=$fresh/readme
"$fresh/venv/bin/python" -m pytest -n 10 --dist worksteal --max-worker-restart 0 "$@"
wait $types
