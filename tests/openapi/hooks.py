"""What schemathesis must do differently at a hub, with the reasons."""

import re
from urllib.parse import quote

import schemathesis

# Without `Accept: application/json` they answer with a stream that does not end.
ENDLESS = {"/events", "/admin/stats"}

# Bytes of a query that leave room for the rest of a head. A target or a head that is far too large is refused by a bare 414 or 431
# before it is a request (docs/PROTOCOL.md, "Problems").
MOST = 16_000


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """OpenAPI 3.1 describes the whole text of a stream, schemathesis reads the schema as that of one event, as 3.2 has it."""
    for item in raw_schema["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                media = response.get("content", {}).get("text/event-stream")
                if media is not None:
                    media["schema"] = media["x-item-schema"]


@schemathesis.hook
def filter_case(context, case):
    # OpenAPI 3.1 cannot say that Mercure has QUERY, which it answers, and names in `Allow`.
    has_query = case.operation.path == "/.well-known/mercure" and case.method in ("QUERY", "OPTIONS")
    return not has_query and len(quote(str(case.query))) < MOST


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.path in ENDLESS:
        case.headers["Accept"] = "application/json"
    for place in (case.query, case.body):
        # A long poll would wait for an event that nobody publishes.
        if isinstance(place, dict) and re.fullmatch("[0-9A-Za-z. ]+", str(place.get("wait") or "")):
            place["wait"] = "0"


@schemathesis.serializer("application/x-ndjson", "text/event-stream")
def text(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.deserializer("application/vnd.gapless.backup")
def backup(context, response):
    return response.content.hex()
