"""The SDK for Python: `publish URL TOPIC` in each mode, `read URL TOPIC FORM` in one. Prints one event a line, normalized."""

import base64
import json
import sys
from datetime import datetime, timezone
from http.client import HTTPConnection
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

ACTION, URL, TOPIC = sys.argv[1:4]
TARGET = f"/publish?topic={TOPIC}"


def line(event):
    """The same line for the same event, whatever SDK and mode. In binary mode every attribute is text."""
    attributes = {}
    for name, value in event.get_attributes().items():
        if isinstance(value, datetime):
            value = value.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        attributes[name] = str(value).lower() if isinstance(value, bool) else str(value)
    for name in ("gaplessid", "gaplesstopic"):
        attributes.pop(name, None)
    data = event.get_data()
    if isinstance(data, bytes) and attributes.get("datacontenttype", "").startswith("image/"):
        attributes["bytes"] = base64.b64encode(data).decode()
    else:
        attributes["data"] = (data.decode() if isinstance(data, bytes) else data) or None
    return json.dumps([[name, attributes[name]] for name in sorted(attributes)], ensure_ascii=False, separators=(",", ":"))


def send(message):
    # urllib would say that an event without data is a form.
    connection = HTTPConnection(urlsplit(URL).netloc)
    connection.request("POST", TARGET, message.body, message.headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    connection.close()


def get(path, accept="*/*"):
    response = urlopen(Request(URL + path, headers={"accept": accept}))
    return HTTPMessage(headers={name.lower(): value for name, value in response.headers.items()}, body=response.read())


COMMON = {"source": "https://shop.example/%C3%BC", "type": "com.example.order", "specversion": "1.0"}
MORE = [
    ({"id": "py-1", "datacontenttype": "application/json", "subject": "n° 1"}, {"order": 42, "note": 'größe\n"'}),
    ({"id": "py-2", "datacontenttype": "text/plain", "time": datetime(2026, 11, 27, 20, 52, 26, tzinfo=timezone.utc)}, 'a\r\n"b"'),
    ({"id": "py-3", "datacontenttype": "image/png"}, b"\xff\0\n"),
    ({"id": "py-4", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, None),
]


def publish():
    events = [CloudEvent(attributes=COMMON | attributes, data=data) for attributes, data in MORE]
    for event in events:
        send(to_binary_event(event))
    messages = [to_structured_event(event) for event in events]
    for message in messages:
        send(message)
    batch = b"[" + b",".join(message.body for message in messages) + b"]"
    send(HTTPMessage(headers={"content-type": "application/cloudevents-batch+json"}, body=batch))
    return events * 3


def structured(body):
    return from_http_event(HTTPMessage(headers={"content-type": "application/cloudevents+json"}, body=body))


def batch():
    page = get(f"/events?topic={TOPIC}&from=earliest", "application/cloudevents-batch+json")
    return [json.dumps(event).encode() for event in json.loads(page.body)]


def read(form):
    if form == "batch":
        return [structured(event) for event in batch()]
    ids = [json.loads(event)["gaplessid"] for event in batch()]
    if form == "binary":
        return [from_http_event(get(f"/events/{one}?topic={TOPIC}")) for one in ids]
    if form == "structured":
        return [from_http_event(get(f"/events/{one}?topic={TOPIC}", "application/cloudevents+json")) for one in ids]
    request = Request(
        f"{URL}/events?topic={TOPIC}&from=earliest&format=cloudevents", headers={"accept": "application/x-ndjson"}
    )
    with urlopen(request) as lines:
        lines.readline()  # The cursor.
        return [structured(lines.readline()) for _ in ids]


for event in publish() if ACTION == "publish" else read(sys.argv[4]):
    print(line(event))
