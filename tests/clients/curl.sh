#!/usr/bin/env bash
# An EventSource in a dozen lines: curl, and the header that carries the last id.
last= delay=1 status=
# A JSON string of what is left of its argument after the quotes and backslashes are taken care of.
quoted() { local text=${1//\\/\\\\}; text=${text//\"/\\\"}; printf '"%s"' "${text//$'\n'/\\n}"; }
while [ "$status" != 204 ]; do
  id= event=message data= has=
  while IFS= read -r line; do
    case $line in
      'id: '*) id=${line#id: } ;;
      'event: '*) event=${line#event: } ;;
      'data: '*) data+=${has:+$'\n'}${line#data: } has=1 ;;
      'retry: '*) delay=$(( ${line#retry: } / 1000 )).$(printf %03d $(( ${line#retry: } % 1000 ))) ;;
      'status: '*) status=${line#status: } ;;
      # Only a blank line makes it an event: what a cut leaves behind is dropped.
      '') [ -n "$has" ] && last=${id:-$last} &&
            echo "{\"event\":$(quoted "$event"),\"id\":$(quoted "$last"),\"data\":$(quoted "$data")}"
          id= event=message data= has= ;;
    esac
  done < <(curl -sN --connect-timeout 5 -H "Last-Event-ID: $last" -H 'Accept: text/event-stream' -w '\nstatus: %{http_code}\n' "$1")
  sleep "$delay"
done
