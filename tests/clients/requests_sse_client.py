"""Python's requests-sse. It reconnects by itself, and gives up when the hub is away for longer than its retries."""

import json
import sys

import requests
from requests_sse import EventSource, InvalidStatusCodeError

last_id = None
while True:
    try:
        with EventSource(sys.argv[1], timeout=30, latest_event_id=last_id) as source:
            for event in source:
                last_id = event.last_event_id or last_id
                print(json.dumps({"event": event.type, "id": event.last_event_id, "data": event.data}), flush=True)
    except InvalidStatusCodeError as error:
        if error.status_code == 204:
            sys.exit(0)
    except requests.RequestException:
        pass
