"""The client for threads."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from types import TracebackType

import httpx

from ._batches import Batches
from ._effects import Deliver, Machine, SaveCursor
from ._errors import failure_of
from ._hub import Hub
from ._io import CursorStore, Io, Token
from ._items import Item
from ._publish import (
    WINDOW,
    Data,
    Envelope,
    PublishOptions,
    Receipt,
    encode,
    encode_batch,
    publish_many,
    publish_one,
)
from ._subscription import Delivery, Status, SubscriptionRules


def publish(
    url: str,
    topic: str,
    data: Data,
    *,
    event: str | None = None,
    retry: int | None = None,
    close: bool = False,
    traceparent: str | None = None,
    if_match: str | None = None,
    key: str | None = None,
    give_up_after: float = WINDOW,
    token: Token | None = None,
    client: httpx.Client | None = None,
) -> Receipt:
    """Publishes one event. Tries again, with the same key, while the outcome is unknown or the hub asks to wait.

    `if_match`: publish only if this id is the topic's last, or `"none"`: only if it has none. `key`: the
    Idempotency-Key in place of a random one. `retry`: milliseconds that readers should wait before they
    reconnect. `traceparent`: where in a trace it is published (W3C Trace Context); its readers are given it.
    """
    body = encode(
        {
            "topic": topic,
            "data": data,
            "event": event,
            "retry": retry,
            "close": close,
            "traceparent": traceparent,
        }
    )
    hub = Hub(url, token)
    io = Io(hub.base, client, token)
    try:
        return io.complete(publish_one(hub, body, PublishOptions(if_match, key, give_up_after)))
    finally:
        io.close()


def publish_batch(
    url: str,
    events: Sequence[Envelope],
    *,
    if_match: str | None = None,
    key: str | None = None,
    give_up_after: float = WINDOW,
    token: Token | None = None,
    client: httpx.Client | None = None,
) -> list[Receipt]:
    """Publishes several events as one commit: all or nothing, in order."""
    body = encode_batch([encode(event) for event in events])
    hub = Hub(url, token)
    io = Io(hub.base, client, token)
    try:
        return io.complete(publish_many(hub, body, PublishOptions(if_match, key, give_up_after)))
    finally:
        io.close()


def subscribe(
    url: str,
    topics: str | Sequence[str],
    *,
    from_: str | None = None,
    since: str | datetime | None = None,
    cursor: str | None = None,
    store: CursorStore | None = None,
    delivery: Delivery = "at-least-once",
    on_status: Callable[[Status], object] | None = None,
    token: Token | None = None,
    client: httpx.Client | None = None,
) -> Subscription:
    """Subscribes to topics and patterns: iterate over the result.

    Without a cursor it starts at `from_`, which is `earliest`, `now` (default), `last:100` or an id, or at `since`,
    a time or an age as `10m`.
    """
    hub = Hub(url, token)
    rules = SubscriptionRules(
        hub, topics, from_=from_, since=since, cursor=cursor, delivery=delivery, on_status=on_status
    )
    return Subscription(rules, Io(hub.base, client, token, store))


class Subscription(Iterator[Item]):
    """Items of topics, across connections. It can be iterated over once.

    It ends when no more events can come, and raises a HubProblem that no retry can change.
    """

    def __init__(self, rules: SubscriptionRules, io: Io) -> None:
        self._rules = rules
        self._io = io
        self._items = _items(rules, io)
        self._error: BaseException | None = None
        # Who is in `_items`. One that may be entered again: a function of the caller, or a signal handler, may close.
        self._entered = threading.RLock()

    @property
    def cursor(self) -> str | None:
        """The id after which it resumes; None before the hub has told one."""
        return self._rules.cursor

    def __next__(self) -> Item:
        with self._entered:
            if self._error is not None:
                raise self._error
            try:
                item = next(self._items)
            except StopIteration:
                raise
            except BaseException as error:
                if inspect.getgeneratorstate(self._items) == inspect.GEN_CLOSED:
                    self._error = failure_of(error)
                raise
        if self._io.stopped:
            # `close` could not, because this thread was in it.
            with self._entered:
                self._io.close()
        return item

    def close(self) -> None:
        """Ends the iteration and closes the connection. Another thread that waits for an item leaves its loop, when a
        function of the caller in which it is returns."""
        self._io.stop()
        if self._entered.acquire(blocking=False):
            try:
                # ValueError: this thread is in it, and closes it when it leaves.
                with suppress(ValueError):
                    self._items.close()
            finally:
                self._entered.release()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _items(rules: SubscriptionRules, io: Io) -> Generator[Item, None, None]:
    """Knows nothing of the Subscription: when that is dropped this is closed, and its connection with it."""
    machine = Machine(rules.run())
    try:
        while (effect := machine.effect) is not None:
            if io.stopped and not (isinstance(effect, SaveCursor) and effect.done):
                return
            if isinstance(effect, Deliver):
                yield effect.item
                machine.resume(None)
            else:
                io.step(machine)
    finally:
        machine.close()
        io.close()


def stream(
    url: str,
    topic: str,
    *,
    give_up_after: float = WINDOW,
    token: Token | None = None,
    client: httpx.Client | None = None,
) -> PublishStream:
    """Opens a stream of events to one topic. `give_up_after` is for each batch."""
    hub = Hub(url, token)
    return PublishStream(Batches(hub, topic, give_up_after), Io(hub.base, client, token))


class PublishStream:
    """A stream of events to one topic, such as tokens. A thread of its own sends, while there is something to send."""

    def __init__(self, batches: Batches, io: Io) -> None:
        self._batches = batches
        self._io = io
        self._changed = threading.Condition()
        self._sending = False

    def write(self, data: Data, *, event: str | None = None) -> None:
        """Adds an event. Waits while a batch's worth is in line, and raises after a failure."""
        envelope = self._batches.encode(data, event)
        with self._changed:
            self._changed.wait_for(lambda: not self._batches.full)
            self._add(envelope)

    def flush(self) -> Receipt | None:
        """Waits until everything written is durable; the receipt is the last event's, None if there is none."""
        with self._changed:
            self._changed.wait_for(lambda: not self._sending)
            self._batches.check()
            return self._batches.last

    def close(self) -> Receipt | None:
        """Flushes, and takes no more. The topic stays open."""
        with self._changed:
            self._batches.close()
        try:
            return self.flush()
        finally:
            with self._changed:
                if not self._sending:
                    self._io.close()

    def finish(self, data: Data, *, event: str | None = None) -> Receipt | None:
        """Closes the stream, and the topic with this as its last event."""
        envelope = self._batches.encode(data, event, close=True)
        with self._changed:
            self._add(envelope)
        return self.close()

    def __enter__(self) -> PublishStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it; after an exception what still waits is not sent."""
        if kind is None:
            self.close()
            return
        with self._changed:
            self._batches.close()
            self._batches.fail(RuntimeError("the stream was left by an exception"))
            self._io.stop()
            self._changed.notify_all()
            if not self._sending:
                self._io.close()

    def _add(self, envelope: bytes) -> None:
        self._batches.check_open()
        self._batches.add(envelope)
        if not self._sending:
            self._sending = True
            # A daemon: a program that ends without `close` does not wait for a hub that is down.
            threading.Thread(target=self._send, name="gapless-stream", daemon=True).start()

    def _send(self) -> None:
        while True:
            with self._changed:
                if self._batches.empty:
                    if self._io.stopped:
                        self._io.close()
                    self._sending = False
                    self._changed.notify_all()
                    return
                rule = self._batches.send()
                self._changed.notify_all()
            try:
                self._io.complete(rule)
            except Exception as error:
                with self._changed:
                    self._batches.fail(error)
