"""Python's httpx-sse, with the loop that its README gives for reconnecting."""

import json
import sys
import time

import httpx
from httpx_sse import connect_sse

last_id, delay = "", 1.0
with httpx.Client(timeout=httpx.Timeout(10, read=30)) as client:
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        try:
            with connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
                if source.response.status_code == 204:
                    sys.exit(0)
                for event in source.iter_sse():
                    last_id = event.id or last_id
                    delay = delay if event.retry is None else event.retry / 1000
                    print(json.dumps({"event": event.event, "id": event.id, "data": event.data}), flush=True)
        except httpx.TransportError:
            pass
        time.sleep(delay)
