"""The rules of a subscription, across connections."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal
from urllib.parse import quote, urlencode

from ._delay import DEFAULT_RETRY, delay
from ._effects import Close, Deliver, Head, LoadCursor, Rule, SaveCursor, Sleep, read
from ._errors import HubProblem, NetworkError, foreign
from ._hub import Hub
from ._items import decode
from ._sse import Parser, Retry, TooLarge

Delivery = Literal["at-least-once", "at-most-once"]


@dataclass(frozen=True, slots=True)
class Connecting:
    """A request is sent."""


@dataclass(frozen=True, slots=True)
class Open:
    """The stream is open."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """It waits for `delay` seconds; `error` says why, None after a stream that ended in order."""

    delay: float
    error: NetworkError | HubProblem | None


Status = Connecting | Open | Waiting

# Seconds for the head of an answer: the hub needs 10 at most to find where a stream starts.
_HEAD = 30.0

# Silence that ends a connection if the hub's keepalive is not known: three times its default of 15 s.
_SILENCE = 45.0

# Missing keepalives that end a connection: one late and one lost keepalive are tolerated.
_MISSED = 3

# Longest silence: three times the maximum of `stream.keepalive`, 10 minutes.
_MAX_SILENCE = 1800.0

# Longest query in a URL; longer lists of topics go into a body. Proxies and servers take 4 to 8 KiB of head.
_MAX_QUERY = 2000


class SubscriptionRules:
    """Items of topics. `cursor` is the id after which it resumes; None before the hub has told one."""

    def __init__(
        self,
        hub: Hub,
        topics: str | Sequence[str],
        *,
        from_: str | None,
        since: str | datetime | None,
        cursor: str | None,
        delivery: Delivery,
        on_status: Callable[[Status], object] | None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if delivery not in ("at-least-once", "at-most-once"):
            raise ValueError(f"no such delivery: {delivery!r}")
        self._hub = hub
        self._topics = [topics] if isinstance(topics, str) else list(topics)
        self._start = {"from": from_, "since": _time(since)}
        self._early = delivery == "at-most-once"
        self._on_status = on_status or (lambda _: None)
        self._chance = chance
        self._retry = DEFAULT_RETRY
        # Failures in a row, without an item or a keepalive between them.
        self._failures = 0
        self.cursor = cursor or None

    def run(self) -> Rule[None]:
        """Ends when no more events can come. Raises a HubProblem that no retry can change."""
        if self.cursor is None:
            self.cursor = (yield LoadCursor()) or None
        while True:
            failure: NetworkError | HubProblem | None = None
            try:
                self._on_status(Connecting())
                head = yield from self._connect()
                if head is None:
                    return
                self._on_status(Open())
                yield from self._items(head)
                self._failures = 0
            except NetworkError as error:
                failure = error
            except HubProblem as error:
                if not error.temporary:
                    raise
                failure = error
            yield Close()
            self._failures += failure is not None
            retry_after = failure.retry_after if isinstance(failure, HubProblem) else 0.0
            seconds = delay(self._retry, retry_after, self._failures, self._chance())
            self._on_status(Waiting(seconds, failure))
            yield Sleep(seconds)

    def _connect(self) -> Rule[Head | None]:
        """Asks for the stream; None if it has ended."""
        path, body = self._request()
        headers = {"accept": "text/event-stream", "cache-control": "no-store"}
        head = yield from self._hub.send(path, headers, body, _HEAD)
        if head.status == 204:
            return None
        kind = head.headers.get("content-type", "nothing")
        if not kind.startswith("text/event-stream"):
            raise foreign(f"it is {kind}")
        return head

    def _request(self) -> tuple[str, bytes | None]:
        """Always with envelopes: they have topic and time."""
        given = {"last_event_id": self.cursor} if self.cursor else self._start
        start = {name: value for name, value in given.items() if value}
        query = [("format", "json"), *start.items(), *(("topic", topic) for topic in self._topics)]
        text = urlencode(query, quote_via=quote)
        if len(text) <= _MAX_QUERY:
            return f"/events?{text}", None
        return "/events", json.dumps({"topics": self._topics, "format": "json", **start}).encode()

    def _items(self, head: Head) -> Rule[None]:
        """Reads one response. It reads on only when all it has read so far was taken."""
        silence = _silence(head.headers.get("stream-keepalive"))
        parser = Parser()
        told = False
        while piece := (yield from read(silence)):
            try:
                found = parser.feed(piece)
            except TooLarge:
                raise foreign("an event is larger than any that a hub sends") from None
            # Not so at the head: what ends every stream after it must not be asked again without growing delays.
            if parser.comments:
                told = True
                self._failures = 0
            for part in found:
                if isinstance(part, Retry):
                    told = True
                    self._retry = part.seconds
                    continue
                item, cursor = decode(part)
                if self._early:
                    yield from self._move(cursor)
                if item is not None:
                    told = True
                    self._failures = 0
                    yield Deliver(item)
                if not self._early:
                    yield from self._move(cursor)
        if not told:
            raise NetworkError("the stream ended before anything came")

    def _move(self, cursor: str | None) -> Rule[None]:
        if cursor is not None:
            self.cursor = cursor
            yield SaveCursor(cursor, done=not self._early)


def _silence(keepalive: str | None) -> float:
    if keepalive is None or not keepalive.isascii() or not keepalive.isdigit() or int(keepalive[:9]) == 0:
        return _SILENCE
    return min(float(keepalive) * _MISSED, _MAX_SILENCE)


def _time(since: str | datetime | None) -> str | None:
    if not isinstance(since, datetime):
        return since
    if since.tzinfo is None:
        raise ValueError("since: a datetime without a time zone is no point in time")
    return since.astimezone(timezone.utc).isoformat()
