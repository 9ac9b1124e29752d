"""Clients that resume, as Python's programs use them."""
import json

import httpx
from common import serve
from httpx_sse import connect_sse
from langgraph_sdk import get_sync_client


def keep(seen, event, id, data):
    seen.chunks.append({"event": event, "id": id, "data": data})


def bearer(job):
    return {"Authorization": "Bearer " + job["token"], **(job.get("headers") or {})}


def httpx_sse(job, seen):
    """GET, or POST of the job's "body"; once more with Last-Event-ID after a broken connection, as its README shows."""
    last, tries = None, 0
    while True:
        headers = bearer(job) | ({"Last-Event-ID": last} if last else {})
        try:
            with connect_sse(httpx.Client(), job.get("method", "GET"), job["base_url"], headers=headers,
                             json=job.get("body")) as source:
                source.response.raise_for_status()
                if source.response.status_code == 204:
                    return
                for sse in source.iter_sse():
                    last = sse.id or last
                    keep(seen, sse.event, sse.id, sse.data)
                return
        except httpx.TransportError:
            tries += 1
            if tries == 10:
                raise


def langgraph(job, seen):
    """A POST that starts a run; it reconnects by itself, to the answer's Location."""
    client = get_sync_client(url=job["base_url"], api_key=job["token"], headers=bearer(job))
    for part in client.http.stream(job["path"], "POST", json=job["body"]):
        keep(seen, part.event, part.id, json.dumps(part.data))


serve({"httpx_sse": httpx_sse, "langgraph": langgraph})
