#!/usr/bin/env bash
# Publishes entries of the systemd journal as JSON, and goes on after a restart where it was. Usage: journal.sh TOPIC [JOURNALCTL'S ARGUMENTS]
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2s/.*\(Usage:.*\)/\1/p' "$0" >&2; exit 64; }
hub=${GAPLESS_URL:-http://127.0.0.1:8080} topic=$1
shift
# The topic's newest event has the journal's cursor: no other place knows better how far an earlier run came. The token is passed on
# stdin: every user of this machine can read command lines.
newest=$(curl -sS --fail-with-body ${GAPLESS_TOKEN:+-H @-} -H 'Accept: application/json' -G "$hub/events" \
  --data-urlencode "topic=$topic" -d from=last:1 <<<"Authorization: Bearer ${GAPLESS_TOKEN-}") || { echo "$newest" >&2; exit 1; }
cursor=$(sed -n 's/.*[{,]\\"__CURSOR\\":\\"\([^\\]*\)\\".*/\1/p' <<<"$newest")
exec gapless publish "$topic" --lines >/dev/null < <(journalctl --follow --no-tail --output=json --all \
  --output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,_HOSTNAME,_PID ${cursor:+--after-cursor="$cursor"} "$@")
