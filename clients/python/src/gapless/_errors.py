"""What goes wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any


class GaplessError(Exception):
    """Every error of this package."""


class NetworkError(GaplessError):
    """No answer, or half of one. It is retried; a subscription tells it to `on_status`."""


class HubProblem(GaplessError):
    """An answer that is an error: RFC 9457 as the hub sends it, or whatever else came from a server in between."""

    status: int
    #: Stable, as `topic-closed`; None if the answer is not the hub's.
    code: str | None
    type: str | None
    title: str
    #: For people: what is wrong and what to change.
    detail: str
    #: Under which the hub's operator finds the request in the log.
    request_id: str | None
    #: With `precondition-failed`: the topic's last id, None for none.
    last_id: str | None
    #: What the hub asked to wait, in seconds.
    retry_after: float

    def __init__(self, status: int, members: Mapping[str, object], retry_after: float = 0.0) -> None:
        def text(name: str) -> str | None:
            value = members.get(name)
            return value if isinstance(value, str) else None

        self.status = status
        self.code = text("code")
        self.type = text("type")
        self.title = text("title") or f"HTTP status {status}"
        self.detail = text("detail") or ""
        self.request_id = text("request_id")
        self.last_id = text("last_id")
        self.retry_after = retry_after
        self._members = dict(members)
        super().__init__(f"{self.title}: {self.detail}" if self.detail else self.title)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.status, self._members, self.retry_after))

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later."""
        # 501: the request itself is not understood.
        return self.status in (408, 425, 429) or (self.status >= 500 and self.status != 501)


class PublishUncertain(GaplessError):
    """A publish ended without a receipt: it may have been published, or not.

    The same request with the same `key` tells, as long as the hub remembers the key. What a stream sent is not the
    caller's to repeat: read the topic's end.
    """

    key: str

    def __init__(self, key: str, from_stream: bool = False) -> None:
        self.key = key
        self._from_stream = from_stream
        super().__init__(key, from_stream)

    def __str__(self) -> str:
        advice = (
            "the last events of the topic tell how far the stream came"
            if self._from_stream
            else f"it is safe to send it again with the key {self.key}"
        )
        return f"a publish may have been published, or not; {advice}"


def failure_of(error: BaseException) -> BaseException:
    """What a subscription raises that has ended by an error, when it is asked again."""
    if isinstance(error, Exception):
        return error
    return RuntimeError("the subscription was cancelled, and has not ended: make another one, with its cursor")


def foreign(detail: str) -> HubProblem:
    """A success of something else than a hub, such as the page of a network's login. A retry would get the same."""
    return HubProblem(200, {"title": "This is not the answer of a hub", "detail": detail})


def problem(status: int, body: bytes, headers: Mapping[str, str]) -> HubProblem:
    """The problem that an answer without success is."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        # Not the hub's, or cut short: the status says enough.
        members = None
    if not isinstance(members, dict):
        members = _redirect(headers.get("location")) if 300 <= status < 400 else {}
    return HubProblem(status, members, retry_after(headers.get("retry-after")))


def _redirect(location: str | None) -> dict[str, object]:
    """None is followed: a client makes a GET of a redirected POST, and another server would get the token."""
    detail = "give the address that it leads to" + (f": {location}" if location else "")
    return {"title": "The answer is a redirect", "detail": detail}


def retry_after(header: str | None) -> float:
    """`Retry-After` in seconds: a number, or a date, as proxies may send it."""
    if not header:
        return 0.0
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max((date - datetime.now(timezone.utc)).total_seconds(), 0.0)
