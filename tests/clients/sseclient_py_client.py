"""Python's sseclient-py. It reads one response; reconnecting is left to its user."""

import json
import sys
import time

import requests
import sseclient

last_id, delay = None, 1.0
while True:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    try:
        response = requests.get(sys.argv[1], stream=True, headers=headers, timeout=30)
        if response.status_code == 204:
            sys.exit(0)
        for event in sseclient.SSEClient(response).events():
            last_id = event.id or last_id
            delay = int(event.retry) / 1000 if event.retry else delay
            print(json.dumps({"event": event.event, "id": event.id or "", "data": event.data}), flush=True)
    except requests.RequestException:
        pass
    time.sleep(delay)
