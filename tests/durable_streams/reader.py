"""Reads a stream of JSON up to the message "end", a line for each message, with the client's mode of argv[2].

After an error it goes on at the offset that the client has given with the last message, as an application does. The client does not
know that a stream is closed."""

import json
import sys
import time

import durable_streams
import httpx

url, mode = sys.argv[1:]
offset, ended = "-1", False
while not ended:
    try:
        with durable_streams.stream(url, offset=offset, live=False if mode == "catch-up" else mode) as response:
            for event in response.iter_events(mode="json"):
                for item in event.data if isinstance(event.data, list) else [event.data]:
                    print(json.dumps(item), flush=True)
                    ended = item == "end"
                offset = event.next_offset
                if ended:
                    break
    except (httpx.HTTPError, durable_streams.DurableStreamError, durable_streams.FetchError):
        pass  # the hub is away
    time.sleep(0.02)
