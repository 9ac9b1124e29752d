#!/usr/bin/env bash
# Notifications, each a line of curl. Watch them all with: gapless tail 'notices/*'
set -euo pipefail
hub=${GAPLESS_URL:-http://127.0.0.1:8080}

# To one person.
curl -fsS -d 'Backup done' "$hub/publish?topic=notices/ada"
# With a name that the page can listen for.
curl -fsS -d 'The disk is 90 % full' "$hub/publish?topic=notices/ada&event=warning"
# To several: all of them, or none.
curl -fsS -H 'Content-Type: application/json' "$hub/publish" \
  -d '[{"topic":"notices/ada","data":"Lunch is here"},{"topic":"notices/bob","data":"Lunch is here"}]'
# Once, however often it is tried.
for try in 1 2; do
  curl -fsS -H 'Idempotency-Key: invoice-42' -d 'Invoice 42 is due' "$hub/publish?topic=notices/bob"
done
