#!/usr/bin/env bash
# Publishes the steps of a progress bar; late subscribers get all of them. Usage: progress.sh TOPIC [STEPS]
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2s/.*\(Usage:.*\)/\1/p' "$0" >&2; exit 64; }
hub=${GAPLESS_URL:-http://127.0.0.1:8080} topic=$1 steps=${2:-20} run=$$-$(date +%s)
# The token is passed on stdin: every user of this machine can read command lines.
curl() { command curl -sS --fail-with-body ${GAPLESS_TOKEN:+-H @-} "$@" <<<"Authorization: Bearer ${GAPLESS_TOKEN-}"; }
for ((step = 1; step <= steps; step++)); do
  sleep 0.1 # The work.
  percent=$((100 * step / steps)) close=
  [ "$percent" = 100 ] && close='&close=true'
  # The key makes a retry harmless: each step is published once. The hub says why it refuses one, for example because an earlier
  # run has closed the topic.
  curl --retry 5 --retry-connrefused -H "Idempotency-Key: $run-$step" \
    -d "{\"percent\":$percent}" "$hub/publish?topic=$topic&event=progress$close" || { echo >&2; exit 1; }
done
