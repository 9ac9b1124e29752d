#!/usr/bin/env bash
# Notifications, each a line of curl. Watch them all with: gapless tail 'notices/*'
set -euo pipefail
hub=${GAPLESS_URL:-http://127.0.0.1:8080}
# A token goes by stdin: command lines are for everyone on this machine to read.
curl() { command curl -sS --fail-with-body ${GAPLESS_TOKEN:+-H @-} "$@" <<<"Authorization: Bearer ${GAPLESS_TOKEN-}"; }

# To one person.
curl -d 'Backup done' "$hub/publish?topic=notices/ada"
# With a name that the page can listen for.
curl -d 'The disk is 90 % full' "$hub/publish?topic=notices/ada&event=warning"
# To several: all of them, or none.
curl -H 'Content-Type: application/json' "$hub/publish" \
  -d '[{"topic":"notices/ada","data":"Lunch is here"},{"topic":"notices/bob","data":"Lunch is here"}]'
# Once, however often it is tried.
for try in 1 2; do
  curl -H 'Idempotency-Key: invoice-42' -d 'Invoice 42 is due' "$hub/publish?topic=notices/bob"
done
