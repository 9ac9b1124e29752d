#!/usr/bin/env bash
# Runs a command, and publishes its start, each line of its output, and its exit code. Usage: cron.sh TOPIC COMMAND [ARGUMENTS]
set -o pipefail
[ $# -gt 1 ] || { sed -n '2s/.*\(Usage:.*\)/\1/p' "$0" >&2; exit 64; }
topic=$1 run=$(date +%s)-$$-$RANDOM output=$(mktemp) || exit 70
shift
# The output goes to a file, so that a hub that is down neither delays nor ends the command.
"$@" >"$output" 2>&1 </dev/null &
command=$!
publish() { gapless publish "$topic" "$@" >/dev/null; }
# One event, for five minutes; the key makes it one event however often it is sent.
once() { for try in {1..60}; do publish --event "$1" --key "cron-$run-$1" -- "$2" && return; sleep 5; done; return 1; }

started='' all=''
once start "$*" && started=yes &&
  tail -n +1 -s 0.1 -f --pid=$command "$output" | publish --lines --event output && all=yes
wait $command
code=$?
[ $started ] && once end $code && [ $all ] || cat "$output" # What cron is told, it mails.
rm -f "$output"
exit $code
