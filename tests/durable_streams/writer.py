"""Appends numbers one after the other, until a line on stdin says that it is enough, then "end", and prints how many there were.

The client has no producer. `Stream-Seq` tells whether an append whose answer was lost is there."""

import sys
import threading
import time

import durable_streams
import httpx

url = sys.argv[1]
enough = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), enough.set()), daemon=True).start()


def append(number, data):
    while True:
        try:
            stream.append(data, seq=f"{number:08}")
            return
        except durable_streams.SeqConflictError:
            return  # it is there
        except (httpx.HTTPError, durable_streams.DurableStreamError, durable_streams.FetchError):
            time.sleep(0.02)  # the hub is away


stream = durable_streams.DurableStream.create(url, content_type="application/json")
print('"ready"', flush=True)
count = 0
while not enough.is_set():
    append(count, count)
    count += 1
    time.sleep(0.002)
append(count, "end")
print(count, flush=True)
