"""What a subscription gives its consumer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, cast

from ._errors import foreign
from ._sse import Block


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a topic. `data` is the text as published, or binary data as base64.

    `event` is `message` if it has no name.
    """

    topic: str
    id: str
    event: str
    data: str
    #: RFC 3339, in UTC.
    time: str
    #: Where in a trace its publisher was (W3C Trace Context), if it said so.
    traceparent: str | None = None
    #: `base64` if `data` is binary data in standard base64; None for text.
    encoding: Literal["base64"] | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Events that are gone.

    `topic` is None for a gap of the whole stream, or of topics of a pattern of which the hub knows nothing any more;
    `resumes_at` if nothing is kept.
    """

    topic: str | None
    reason: Literal["trimmed", "lost", "unknown", "ahead"]
    after: str | None
    resumes_at: str | None


@dataclass(frozen=True, slots=True)
class End:
    """The topic takes no more events, or was deleted."""

    topic: str
    reason: Literal["closed", "deleted"]
    last_id: str | None


@dataclass(frozen=True, slots=True)
class Removed:
    """The event `id` was removed: forget it. `position` is the id of this item itself."""

    topic: str
    id: str
    position: str
    time: str


Item = Event | Gap | End | Removed


def decode(block: Block) -> tuple[Item | None, str | None]:
    """What a block of a stream with envelopes means: an item, if it is one, and the cursor after it, if it moves."""
    item = None
    if block.data is not None:
        try:
            item = _item(block.event, block.data)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise foreign("an event is no envelope") from error
    return item, block.id or None


def _item(name: str, data: str) -> Item | None:
    if name.startswith("hub.") and name not in ("hub.gap", "hub.end", "hub.removed"):
        # `hub.cursor` moves the cursor and is no item. So may names that a later hub has.
        return None
    value = json.loads(data)
    if name == "hub.gap":
        reason = cast(Any, text_of(value, "reason"))
        return Gap(_maybe(value, "topic"), reason, _maybe(value, "after"), _maybe(value, "resumes_at"))
    if name == "hub.end":
        return End(text_of(value, "topic"), cast(Any, text_of(value, "reason")), _maybe(value, "last_id"))
    topic, id, time, inner = (text_of(value, field) for field in ("topic", "id", "time", "data"))
    if name == "hub.removed":
        return Removed(topic, text_of(json.loads(inner), "id"), id, time)
    encoding = cast(Any, _maybe(value, "encoding"))
    return Event(topic, id, text_of(value, "event"), inner, time, _maybe(value, "traceparent"), encoding)


def text_of(value: Any, field: str) -> str:
    """A member that must be a text, of what must be an object."""
    text = value[field]
    if not isinstance(text, str):
        raise TypeError(field)
    return text


def _maybe(value: Any, field: str) -> str | None:
    return None if value.get(field) is None else text_of(value, field)
