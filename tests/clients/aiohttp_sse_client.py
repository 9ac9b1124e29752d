"""Python's aiohttp-sse-client2. It reconnects after a clean end; a broken connection is an error for its user."""

import asyncio
import json
import sys

import aiohttp
from aiohttp_sse_client2.client import EventSource


async def listen(url):
    last_id = ""
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        try:
            async with EventSource(url, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as source:
                async for event in source:
                    last_id = event.last_event_id or last_id
                    heard = {"event": event.type or "message", "id": event.last_event_id, "data": event.data}
                    print(json.dumps(heard), flush=True)
        except ConnectionAbortedError as error:
            if " 204:" in str(error):
                return
        except (aiohttp.ClientError, ConnectionError):
            pass
        await asyncio.sleep(1)


asyncio.run(listen(sys.argv[1]))
