"""The client for asyncio: the functions of `gapless`, to be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import datetime
from types import TracebackType

import httpx

from ._aio import AsyncIo, CursorStore, Token
from ._batches import Batches
from ._effects import Deliver, Machine
from ._errors import failure_of
from ._hub import Hub
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

__all__ = ["CursorStore", "PublishStream", "Subscription", "Token", "publish", "publish_batch", "stream", "subscribe"]


async def publish(
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
    client: httpx.AsyncClient | None = None,
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
    io = AsyncIo(hub.base, client, token)
    try:
        return await io.complete(publish_one(hub, body, PublishOptions(if_match, key, give_up_after)))
    finally:
        await io.close()


async def publish_batch(
    url: str,
    events: Sequence[Envelope],
    *,
    if_match: str | None = None,
    key: str | None = None,
    give_up_after: float = WINDOW,
    token: Token | None = None,
    client: httpx.AsyncClient | None = None,
) -> list[Receipt]:
    """Publishes several events as one commit: all or nothing, in order."""
    body = encode_batch([encode(event) for event in events])
    hub = Hub(url, token)
    io = AsyncIo(hub.base, client, token)
    try:
        return await io.complete(publish_many(hub, body, PublishOptions(if_match, key, give_up_after)))
    finally:
        await io.close()


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
    client: httpx.AsyncClient | None = None,
) -> Subscription:
    """Subscribes to topics and patterns: iterate over the result.

    Without a cursor it starts at `from_`, which is `earliest`, `now` (default), `last:100` or an id, or at `since`,
    a time or an age as `10m`.
    """
    hub = Hub(url, token)
    rules = SubscriptionRules(
        hub, topics, from_=from_, since=since, cursor=cursor, delivery=delivery, on_status=on_status
    )
    return Subscription(rules, AsyncIo(hub.base, client, token, store))


class Subscription(AsyncIterator[Item]):
    """Items of topics, across connections. It can be iterated over once.

    It ends when no more events can come, and raises a HubProblem that no retry can change. Cancelling the task that
    iterates closes the connection, and so does leaving `async with`.
    """

    def __init__(self, rules: SubscriptionRules, io: AsyncIo) -> None:
        self._rules = rules
        self._items = _items(rules, io)
        self._error: BaseException | None = None

    @property
    def cursor(self) -> str | None:
        """The id after which it resumes; None before the hub has told one."""
        return self._rules.cursor

    async def __anext__(self) -> Item:
        if self._error is not None:
            raise self._error
        try:
            return await self._items.__anext__()
        except StopAsyncIteration:
            raise
        except BaseException as error:
            # Not when another task is in it: that one goes on.
            if self._items.ag_frame is None:  # type: ignore[attr-defined]
                self._error = failure_of(error)
            raise

    async def aclose(self) -> None:
        """Ends the iteration and closes the connection. While another task waits for an item, cancel that one."""
        await self._items.aclose()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def _items(rules: SubscriptionRules, io: AsyncIo) -> AsyncGenerator[Item, None]:
    """Knows nothing of the Subscription: when that is dropped the event loop closes this, and its connection."""
    machine = Machine(rules.run())
    try:
        while (effect := machine.effect) is not None:
            if isinstance(effect, Deliver):
                yield effect.item
                machine.resume(None)
            else:
                await io.step(machine)
    finally:
        machine.close()
        await io.close()


def stream(
    url: str,
    topic: str,
    *,
    give_up_after: float = WINDOW,
    token: Token | None = None,
    client: httpx.AsyncClient | None = None,
) -> PublishStream:
    """Opens a stream of events to one topic. `give_up_after` is for each batch."""
    hub = Hub(url, token)
    return PublishStream(Batches(hub, topic, give_up_after), AsyncIo(hub.base, client, token))


class PublishStream:
    """A stream of events to one topic, such as tokens. A task of its own sends, while there is something to send."""

    def __init__(self, batches: Batches, io: AsyncIo) -> None:
        self._batches = batches
        self._io = io
        self._changed = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    async def write(self, data: Data, *, event: str | None = None) -> None:
        """Adds an event. Waits while a batch's worth is in line, and raises after a failure."""
        envelope = self._batches.encode(data, event)
        while self._batches.full:
            await self._changed.wait()
        self._add(envelope)

    async def flush(self) -> Receipt | None:
        """Waits until everything written is durable; the receipt is the last event's, None if there is none."""
        while self._sender is not None:
            # Unlike to await it, this does not end the sender when the caller is cancelled.
            await asyncio.wait({self._sender})
        self._batches.check()
        return self._batches.last

    async def close(self) -> Receipt | None:
        """Flushes, and takes no more. The topic stays open."""
        self._batches.close()
        try:
            return await self.flush()
        finally:
            if self._sender is None:
                await self._io.close()

    async def finish(self, data: Data, *, event: str | None = None) -> Receipt | None:
        """Closes the stream, and the topic with this as its last event."""
        self._add(self._batches.encode(data, event, close=True))
        return await self.close()

    async def __aenter__(self) -> PublishStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it; after an exception what still waits is not sent."""
        if kind is None:
            await self.close()
            return
        self._batches.close()
        self._batches.fail(RuntimeError("the stream was left by an exception"))
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait({self._sender})
        self._progress()
        await self._io.close()

    def _add(self, envelope: bytes) -> None:
        self._batches.check_open()
        self._batches.add(envelope)
        if self._sender is None:
            # It begins in the next turn of the loop: what is written in this one goes out together.
            self._sender = asyncio.create_task(self._send(), name="gapless-stream")

    async def _send(self) -> None:
        try:
            while not self._batches.empty:
                rule = self._batches.send()
                self._progress()
                await self._io.complete(rule)
        except Exception as error:
            self._batches.fail(error)
        except BaseException:
            self._batches.fail(RuntimeError("what sends the stream was cancelled"))
            raise
        finally:
            self._sender = None
            self._progress()

    def _progress(self) -> None:
        """Wakes who waits, once."""
        self._changed.set()
        self._changed = asyncio.Event()
