"""The two clients, as the runner of the vectors calls them: from a thread, and never waiting for an item."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from waits import PATIENCE

import gapless
import gapless.aio


class Left(Exception):
    """A consumer fails on purpose."""


class Consumer:
    """What a subscription's consumer has taken. `end` is `done`, `failed` or an error when it is over."""

    def __init__(self, pause_after: int | None, fails_on: str | None) -> None:
        self.taken: list[gapless.Item] = []
        self.end: str | BaseException | None = None
        self.tokens = 0
        self.leave: Callable[[], None] = lambda: None
        self.take: Callable[[], None] = lambda: None
        self._pause_after = pause_after
        self._fails_on = fails_on
        self._count = 0
        # Gaps and ends that were told: they may come again.
        self._told: set[object] = set()

    def put(self, item: gapless.Item) -> bool:
        """Handles an item; the answer is whether to stop here for `take`."""
        if self._fails_on is not None and isinstance(item, gapless.Event) and item.data == self._fails_on:
            raise Left
        told: object = None
        match item:
            case gapless.Gap(topic, reason, after, _):
                told = ("gap", topic, reason, after)
            case gapless.End():
                told = item
        if told is None or told not in self._told:
            self.taken.append(item)
        self._told.add(told)
        self._count += 1
        return self._count == self._pause_after

    def over(self, error: BaseException | None) -> None:
        self.end = "done" if error is None else "failed" if isinstance(error, Left) else error


class Driven(Protocol):
    def publish(self, url: str, *arguments: Any, **options: Any) -> Any: ...
    def publish_batch(self, url: str, *arguments: Any, **options: Any) -> Any: ...
    def subscribe(self, consumer: Consumer, url: str, topics: list[str], **options: Any) -> None: ...
    def open_stream(self, url: str, topic: str, token: Any) -> Any: ...
    def write(self, stream: Any, data: list[Any], event: str | None) -> Any: ...
    def finish(self, stream: Any, last: dict[str, Any] | None) -> Any: ...
    def close(self) -> None: ...


class Threads:
    """`gapless`, with a thread for each consumer."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    publish = staticmethod(gapless.publish)
    publish_batch = staticmethod(gapless.publish_batch)

    def subscribe(self, consumer: Consumer, url: str, topics: list[str], **options: Any) -> None:
        subscription = gapless.subscribe(url, topics, **options)
        again = threading.Event()
        consumer.take = again.set

        def leave() -> None:
            again.set()
            subscription.close()

        consumer.leave = leave

        def consume() -> None:
            error: BaseException | None = None
            try:
                for item in subscription:
                    if consumer.put(item):
                        again.wait(10 * PATIENCE)
            except Exception as caught:
                error = caught
            consumer.over(error)

        thread = threading.Thread(target=consume, daemon=True)
        self._threads.append(thread)
        thread.start()

    def open_stream(self, url: str, topic: str, token: Any) -> gapless.PublishStream:
        return gapless.stream(url, topic, token=token)

    def write(self, stream: gapless.PublishStream, data: list[Any], event: str | None) -> None:
        for one in data:
            stream.write(one, event=event)

    def finish(self, stream: gapless.PublishStream, last: dict[str, Any] | None) -> gapless.Receipt | None:
        return stream.finish(last["data"], event=last.get("event")) if last else stream.close()

    def close(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a consumer that has left ends"


class Tasks:
    """`gapless.aio`, with a task for each consumer, in a loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: list[asyncio.Task[None]] = []

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(3 * PATIENCE)

    def publish(self, url: str, *arguments: Any, **options: Any) -> Any:
        return self._run(gapless.aio.publish(url, *arguments, **options))

    def publish_batch(self, url: str, *arguments: Any, **options: Any) -> Any:
        return self._run(gapless.aio.publish_batch(url, *arguments, **options))

    def subscribe(self, consumer: Consumer, url: str, topics: list[str], **options: Any) -> None:
        async def consume(again: asyncio.Event) -> None:
            error: BaseException | None = None
            try:
                async for item in gapless.aio.subscribe(url, topics, **options):
                    if consumer.put(item):
                        await again.wait()
            except (Exception, asyncio.CancelledError) as caught:
                error = caught
            consumer.over(error)

        async def begin() -> None:
            again = asyncio.Event()
            task = asyncio.create_task(consume(again))
            self._tasks.append(task)
            consumer.take = lambda: void(self._loop.call_soon_threadsafe(again.set))
            consumer.leave = lambda: void(self._loop.call_soon_threadsafe(task.cancel))

        self._run(begin())

    def open_stream(self, url: str, topic: str, token: Any) -> gapless.aio.PublishStream:
        async def opened() -> gapless.aio.PublishStream:
            return gapless.aio.stream(url, topic, token=token)

        result: gapless.aio.PublishStream = self._run(opened())
        return result

    def write(self, stream: gapless.aio.PublishStream, data: list[Any], event: str | None) -> None:
        async def written() -> None:
            for one in data:
                await stream.write(one, event=event)

        self._run(written())

    def finish(self, stream: gapless.aio.PublishStream, last: dict[str, Any] | None) -> Any:
        return self._run(stream.finish(last["data"], event=last.get("event")) if last else stream.close())

    def close(self) -> None:
        async def ended() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._loop.shutdown_asyncgens()

        self._run(ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


def void(_: object) -> None:
    return None
