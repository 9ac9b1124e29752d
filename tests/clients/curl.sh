#!/usr/bin/env bash
# An EventSource in a dozen lines: curl, and the header that carries the last id.
last= id= name= data= delay=1 status=
while [ "$status" != 204 ]; do
  while IFS= read -r line; do
    case $line in
      'id: '*) id=${line#id: } ;;
      'event: '*) name=${line#event: } ;;
      'data: '*) data=${line#data: } ;;
      'retry: '*) delay=$(( ${line#retry: } / 1000 )).$(printf %03d $(( ${line#retry: } % 1000 ))) ;;
      'status: '*) status=${line#status: } ;;
      # Only a blank line makes it an event: what a cut leaves behind is dropped. The hub's own hub.cursor moves the id only.
      '') if [ -n "$id" ] && [ -n "$data" ]; then
            last=$id
            [ "$name" = hub.cursor ] || echo "{\"id\":\"$id\",\"data\":\"$data\"}"
          fi
          id= name= data= ;;
    esac
  done < <(curl -sN --connect-timeout 5 -H "Last-Event-ID: $last" -H 'Accept: text/event-stream' -w '\nstatus: %{http_code}\n' "$1")
  sleep "$delay"
done
