#!/usr/bin/env bash
# Publishes what a CI job is doing. It fails no job, and holds none up for more than a minute. Usage: ci.sh EVENT DATA [close]
[ $# -gt 1 ] || { sed -n '2s/.*\(Usage:.*\)/\1/p' "$0" >&2; exit 64; }
if [ -n "${GITHUB_RUN_ID-}" ]; then topic=ci/github/$GITHUB_REPOSITORY/$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT/$GITHUB_JOB
else topic=ci/gitlab/$CI_PROJECT_PATH/$CI_JOB_ID; fi
close=false
[ "${3-}" = close ] && close=true
key=$(cat /proc/sys/kernel/random/uuid) # Of this call: curl's retries are one event.
# Without --fail, curl repeats what may pass (no connection, 429, 503), and not what stays refused.
answer=$(curl -sS --retry 20 --retry-all-errors --retry-delay 2 --retry-max-time 60 --max-time 20 -w '\n%{http_code}' \
  ${GAPLESS_TOKEN:+-H @-} -H "Idempotency-Key: $key" -H 'Content-Type: text/plain' --data-binary "$2" \
  --url-query "topic=$topic" --url-query "event=$1" --url-query "close=$close" \
  "${GAPLESS_URL:-http://127.0.0.1:8080}/publish" <<<"Authorization: Bearer ${GAPLESS_TOKEN-}")
[ "${answer##*$'\n'}" = 200 ] || echo "not published: $1: $answer" >&2
exit 0
