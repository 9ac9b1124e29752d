#!/usr/bin/env bash
# A progress bar: late watchers see all of it, and it ends at 100 %. Usage: progress.sh TOPIC [STEPS]
set -euo pipefail
hub=${GAPLESS_URL:-http://127.0.0.1:8080} topic=$1 steps=${2:-20} run=$$-$(date +%s)
# A token goes by stdin: command lines are for everyone on this machine to read.
curl() { command curl -fsS ${GAPLESS_TOKEN:+-H @-} "$@" <<<"Authorization: Bearer ${GAPLESS_TOKEN-}"; }
for ((step = 1; step <= steps; step++)); do
  sleep 0.1 # The work.
  percent=$((100 * step / steps)) close=
  [ "$percent" = 100 ] && close='&close=true'
  # The key makes a retry harmless: a step is an event once, whatever the network did.
  curl --retry 5 --retry-connrefused -H "Idempotency-Key: $run-$step" \
    -d "{\"percent\":$percent}" "$hub/publish?topic=$topic&event=progress$close"
done
