#!/usr/bin/env bash
# Publishes each new line of a log file as an event, also after the file is rotated. Usage: log_tail.sh FILE TOPIC
[ $# -eq 2 ] && [ -r "$1" ] || { echo "usage: log_tail.sh FILE TOPIC, and FILE must be readable" >&2; exit 64; }
exec gapless publish "$2" --lines < <(tail -n 0 -F --pid=$$ "$1" 2>/dev/null)
