"""The rules of one publish, until its outcome is known."""

from __future__ import annotations

import json
import math
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from ._delay import delay
from ._effects import CallerFailed, Close, Rule, Sleep, read
from ._elapsed import Clock, stopwatch
from ._errors import HubProblem, NetworkError, PublishUncertain, foreign
from ._hub import Hub, TooLate, plain
from ._items import text_of

#: A text is published as it is, anything else as JSON.
Data = str | int | float | bool | None | Sequence[object] | Mapping[str, object]


class _Envelope(TypedDict):
    topic: str
    data: Data


class Envelope(_Envelope, total=False):
    """An event to publish. `event` is its name, `retry` the milliseconds that readers should wait before they
    reconnect; with `close` it is the topic's last; `traceparent` is where in a trace it is published."""

    event: str | None
    retry: int | None
    close: bool
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The event is durable. `subscribers` counts the open streams that it goes to."""

    topic: str
    id: str
    #: RFC 3339, in UTC.
    time: str
    subscribers: int


# Seconds. The hub's window for a key is 10 minutes by default. After it, a retry could be a second event.
WINDOW = 540.0

# First delay before a retry, in seconds; it doubles. A hub restarts within seconds.
_FIRST_WAIT = 0.5

# Time for one attempt: what the hub gives a body, 30 s and 8 KiB a second, and as much again for the answer.
_ATTEMPT = 60.0
_BYTES_PER_SECOND = 8192

# Largest answer: 300 bytes and the topic for each of the 100,000 events of a batch are fewer.
_MAX_ANSWER = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PublishOptions:
    if_match: str | None = None
    key: str | None = None
    give_up_after: float = WINDOW

    def __post_init__(self) -> None:
        # Not infinity: every hub forgets a key, and a retry is a second event then.
        if not 0 <= self.give_up_after < math.inf:
            raise ValueError("give_up_after: seconds, not negative")


def encode(envelope: Envelope) -> bytes:
    """An envelope as JSON. What JSON cannot express is an error of the caller."""
    given = {name: value for name, value in envelope.items() if name == "data" or value is not None}
    return json.dumps(given, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def encode_batch(envelopes: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(envelopes) + b"]"


def new_key() -> str:
    return secrets.token_hex(16)


def publish_one(hub: Hub, body: bytes, options: PublishOptions) -> Rule[Receipt]:
    receipt: Receipt = yield from _publish(hub, body, options, take=_receipt)
    return receipt


def publish_many(hub: Hub, body: bytes, options: PublishOptions) -> Rule[list[Receipt]]:
    receipts: list[Receipt] = yield from _publish(hub, body, options, take=_receipts)
    return receipts


def _receipts(answer: Any) -> list[Receipt]:
    receipts = answer.get("events")
    if not isinstance(receipts, list):
        raise foreign("it has no receipts")
    return [_receipt(receipt) for receipt in receipts]


def _receipt(answer: Any) -> Receipt:
    try:
        receipt = Receipt(
            text_of(answer, "topic"), text_of(answer, "id"), text_of(answer, "time"), answer["subscribers"]
        )
    except (KeyError, TypeError) as error:
        raise foreign("it is no receipt") from error
    if not isinstance(receipt.subscribers, int):
        raise foreign("it is no receipt")
    return receipt


def _publish(
    hub: Hub,
    body: bytes,
    options: PublishOptions,
    clock: Clock = time.monotonic,
    chance: Callable[[], float] = random.random,
    wall: Clock = time.time,
    take: Callable[[dict[str, Any]], Any] = lambda answer: answer,
) -> Rule[Any]:
    """The answer as `take` reads it, when the outcome is known.

    Once the outcome is uncertain, whatever else ends it does not hide that.
    """
    key = plain(options.key or new_key(), "a key")
    headers = {"content-type": "application/json", "idempotency-key": key}
    if options.if_match is not None:
        headers["if-match"] = f'"{plain(options.if_match, "if_match")}"'
    elapsed = stopwatch(clock, wall)
    asked = False

    def may_ask() -> bool:
        """Called directly before each request: a computer that slept wakes up later than it planned, and the hub may
        have forgotten the key by then."""
        nonlocal asked
        if asked and elapsed() > options.give_up_after:
            return False
        asked = True
        return True

    failures = 0
    uncertain = False
    failure: NetworkError | HubProblem | None = None
    try:
        while True:
            try:
                # An attempt that begins has a little time, also at the very end.
                patience = min(_ATTEMPT + len(body) / _BYTES_PER_SECOND, max(options.give_up_after - elapsed(), 0.1))
                return take((yield from _attempt(hub, body, headers, patience, may_ask)))
            except NetworkError as error:
                failure = error
                uncertain = uncertain or hub.sent
            except HubProblem as error:
                if not error.temporary:
                    raise
                failure = error
                # Of the hub's temporary problems only this one leaves it open; one that is not the hub's may, too.
                uncertain = uncertain or error.code in (None, "store-unavailable")
            yield Close()
            failures += 1
            retry_after = failure.retry_after if isinstance(failure, HubProblem) else 0.0
            seconds = delay(_FIRST_WAIT, retry_after, failures, chance())
            if elapsed() + seconds > options.give_up_after:
                raise failure
            yield Sleep(seconds)
    except Exception as error:
        cause = failure if isinstance(error, TooLate) and failure else error
        if uncertain:
            raise PublishUncertain(key) from (cause.error if isinstance(cause, CallerFailed) else cause)
        if cause is error:
            raise
        raise cause from cause.__cause__


def _attempt(
    hub: Hub, body: bytes, headers: Mapping[str, str], patience: float, may_ask: Callable[[], bool]
) -> Rule[dict[str, Any]]:
    head = yield from hub.send("/publish", headers, body, patience, may_ask)
    kind = head.headers.get("content-type", "nothing")
    if not kind.startswith("application/json"):
        raise foreign(f"it is {kind}")
    pieces: list[bytes] = []
    size = 0
    while piece := (yield from read(hub.left)):
        pieces.append(piece)
        size += len(piece)
        if size > _MAX_ANSWER:
            raise foreign("it is larger than any that a hub sends")
    try:
        answer = json.loads(b"".join(pieces))
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise foreign("it is no JSON object")
    return answer
