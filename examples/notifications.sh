#!/usr/bin/env bash
# Publishes notifications with curl. Watch them all with: gapless tail 'notices/*'
set -euo pipefail
hub=${GAPLESS_URL:-http://127.0.0.1:8080}
# The token is passed on stdin: every user of this machine can read command lines.
curl() { command curl -sS --fail-with-body ${GAPLESS_TOKEN:+-H @-} "$@" <<<"Authorization: Bearer ${GAPLESS_TOKEN-}"; }

# To one person.
curl -d 'Backup done' "$hub/publish?topic=notices/ada"
# With an event name that a page can listen for.
curl -d 'The disk is 90 % full' "$hub/publish?topic=notices/ada&event=warning"
# To several people in one commit: all of the events or none.
curl -H 'Content-Type: application/json' "$hub/publish" \
  -d '[{"topic":"notices/ada","data":"Lunch is here"},{"topic":"notices/bob","data":"Lunch is here"}]'
# With an Idempotency-Key: published once, however often it is sent.
for try in 1 2; do
  curl -H 'Idempotency-Key: invoice-42' -d 'Invoice 42 is due' "$hub/publish?topic=notices/bob"
done
