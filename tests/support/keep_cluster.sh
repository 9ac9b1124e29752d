#!/bin/sh
# Runs the servers of a cluster until nobody has used it for a while, and deletes its files.
# keep_cluster.sh SERVER DIRECTORY LOCK SECONDS: the program, the directory with n*.conf, the file that each user holds a shared lock of,
# and how long nobody must. Whatever ends this shell ends the servers.
set -u
server=$1 directory=$2 lock=$3 seconds=$4
servers=
for config in "$directory"/n*.conf; do
  setpriv --pdeathsig KILL "$server" -c "$config" 2>>"${config%.conf}.log" &
  servers="$servers $!"
done
exec 9>>"$lock"
unused=0
while [ "$unused" -lt "$seconds" ]; do
  sleep 1
  # A cluster of which a server has ended is of no use.
  for one in $servers; do kill -0 "$one" 2>/dev/null || { cat "$directory"/n*.log >&2; break 2; }; done
  if flock --nonblock --exclusive 9; then
    unused=$((unused + 1))
    [ "$unused" -lt "$seconds" ] && flock --unlock 9
  else
    unused=0
  fi
done
for one in $servers; do kill -KILL "$one" 2>/dev/null; done
wait
rm -rf "$directory"
