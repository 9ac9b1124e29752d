"""The rules of a publish stream: what waits, and how it becomes batches."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from ._effects import Rule
from ._errors import HubProblem, PublishUncertain
from ._hub import Hub
from ._publish import WINDOW, Data, Envelope, PublishOptions, Receipt, encode, encode_batch, new_key, publish_many

# Most events of a batch, and most bytes; a single larger event is sent alone. A hub takes 100,000 and 16 MiB.
_EVENTS = 4096
_BYTES = 1 << 20


class Batches:
    """Events to one topic that wait to be sent.

    Those that wait go out as one batch, one batch after the other, each with a key of its own: a batch without an
    answer is sent again, so a broken connection loses and doubles nothing. An event is not delayed to fill a batch. (A
    `POST` that stays open takes no keys: after it broke, nobody knows what arrived.)
    """

    def __init__(self, hub: Hub, topic: str, give_up_after: float = WINDOW) -> None:
        self._hub = hub
        self._options = PublishOptions(give_up_after=give_up_after)
        # Most bytes of the next batch: fewer when the hub has refused some as too large.
        self._most = _BYTES
        self._topic = topic
        self._prefix = new_key()
        self._count = 0
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._closed = False
        self._failure: Exception | None = None
        self.last: Receipt | None = None

    @property
    def empty(self) -> bool:
        return not self._waiting

    @property
    def full(self) -> bool:
        """A writer has to wait: a batch's worth is in line."""
        return len(self._waiting) >= _EVENTS or self._bytes >= _BYTES

    def check(self) -> None:
        """Raises what has failed before."""
        if self._failure is not None:
            raise self._failure

    def check_open(self) -> None:
        self.check()
        if self._closed:
            raise RuntimeError("the stream is closed")

    def encode(self, data: Data, event: str | None, close: bool = False) -> bytes:
        envelope: Envelope = {"topic": self._topic, "data": data, "event": event}
        if close:
            envelope["close"] = True
        return encode(envelope)

    def add(self, envelope: bytes) -> None:
        self._waiting.append(envelope)
        self._bytes += len(envelope)

    def close(self) -> None:
        self._closed = True

    def fail(self, error: Exception) -> None:
        """The first failure counts; what still waits is not sent."""
        self._failure = self._failure or error
        self._waiting.clear()
        self._bytes = 0

    def send(self) -> Rule[None]:
        """Takes the next batch out of the line, and publishes it."""
        batch = [self._waiting.popleft()]
        size = len(batch[0])
        while self._waiting and len(batch) < _EVENTS and size + len(self._waiting[0]) <= self._most:
            size += len(self._waiting[0])
            batch.append(self._waiting.popleft())
        self._bytes -= size
        return self._publish(batch)

    def _publish(self, batch: list[bytes]) -> Rule[None]:
        """A batch that is too large for this hub was not published, and goes out in halves."""
        self._count += 1
        body = encode_batch(batch)
        options = replace(self._options, key=f"{self._prefix}-{self._count}")
        try:
            receipts = yield from publish_many(self._hub, body, options)
        except PublishUncertain as error:
            raise PublishUncertain(error.key, from_stream=True) from error.__cause__
        except HubProblem as error:
            if error.status != 413 or len(batch) == 1:
                raise
        else:
            self.last = receipts[-1] if receipts else None
            return
        self._most = min(self._most, len(body) // 2)
        half = len(batch) // 2
        yield from self._publish(batch[:half])
        yield from self._publish(batch[half:])
