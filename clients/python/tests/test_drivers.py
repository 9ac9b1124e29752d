"""What only a real connection shows: how each client ends, waits, and is stopped."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import httpx
import pytest
from listener import answer, complete, dripping, listening, several, sse
from played import block
from waits import PATIENCE, until

import gapless
from gapless import Event, HubProblem, NetworkError, PublishUncertain, aio

LATER = answer(503, headers="Retry-After: 600\r\n")
GONE = b"HTTP/1.1 204 No Content\r\n\r\n"
RECEIPT = answer(200, b'{"topic":"t","id":"e-1","time":"T","subscribers":0}')
RECEIPTS = answer(200, b'{"events":[{"topic":"t","id":"e-1","time":"T","subscribers":0}]}')


def run(work: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(work, 2 * PATIENCE)

    return asyncio.run(bounded())


async def soon(holds: Callable[[], bool]) -> None:
    """Waits in a task until it holds."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, "it never happened"
        await asyncio.sleep(0.01)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def ended(thread: threading.Thread) -> None:
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it ends"


def test_leaving_the_loop_closes_the_connection() -> None:
    with listening(sse(block(1), block(2)), sse(block(1), block(2)), sse(block(1))) as hub:
        for _ in gapless.subscribe(hub.url, "t"):
            break
        hub.left(0)
        with gapless.subscribe(hub.url, "t") as items:
            for _ in items:
                break
            # The consumer is not done with an item at which it leaves.
            assert items.cursor is None
            assert next(items) == Event("t", "e-2", "message", "2", "")
            assert items.cursor == "e-1"
        hub.left(1)
        with pytest.raises(StopIteration):
            next(items)
        with pytest.raises(KeyError):
            for item in gapless.subscribe(hub.url, "t"):
                raise KeyError(item)
        gc.collect()
        hub.left(2)


def test_leaving_the_loop_closes_the_connection_of_asyncio() -> None:
    async def main() -> None:
        async for _ in aio.subscribe(hub.url, "t"):
            break
        await soon(lambda: hub.connections[0].left)
        async with aio.subscribe(hub.url, "t") as items:
            async for _ in items:
                break
            assert items.cursor is None
            assert await anext(items) == Event("t", "e-2", "message", "2", "")
            assert items.cursor == "e-1"
        await soon(lambda: hub.connections[1].left)
        with pytest.raises(StopAsyncIteration):
            await anext(items)

    with listening(sse(block(1), block(2)), sse(block(1), block(2))) as hub:
        run(main())


def test_a_response_is_closed_though_the_client_stays_open() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<h1>..."

    # Referred to, so that nothing but the subscription closes them.
    responses: list[httpx.Response] = []

    async def note(response: httpx.Response) -> None:
        responses.append(response)

    async def main() -> None:
        async with httpx.AsyncClient(event_hooks={"response": [note]}) as client:
            async with aio.subscribe(hub.url, "t", client=client) as items:
                await anext(items)
            assert responses.pop().is_closed
            await soon(lambda: hub.connections[0].left)
            with pytest.raises(HubProblem):
                await anext(aio.subscribe(hub.url, "t", client=client))
            assert responses.pop().is_closed
            with pytest.raises(HubProblem):
                await aio.publish(hub.url, "t", "x", client=client)
            await soon(lambda: hub.connections[1].left and hub.connections[2].left)

    with (
        listening(sse(block(1)), page, page) as hub,
        httpx.Client(event_hooks={"response": [responses.append]}) as client,
    ):
        with gapless.subscribe(hub.url, "t", client=client) as items:
            next(items)
        assert responses.pop().is_closed
        hub.left(0)
        with pytest.raises(HubProblem):
            next(gapless.subscribe(hub.url, "t", client=client))
        assert responses.pop().is_closed
        with pytest.raises(HubProblem):
            gapless.publish(hub.url, "t", "x", client=client)
        hub.left(1)
        hub.left(2)
    with listening(sse(block(1)), page, page) as hub:
        run(main())


@pytest.mark.parametrize("given", [b"", sse(), LATER, answer(401)], ids=["head", "body", "delay", "token"])
def test_close_ends_the_wait_of_another_thread(given: bytes) -> None:
    asked = threading.Event()
    waiting = threading.Event()

    def token() -> str:
        if asked.is_set():
            waiting.set()
        asked.set()
        return "t"

    def told(status: gapless.Status) -> None:
        if isinstance(status, gapless.Waiting | gapless.Open):
            waiting.set()

    with listening(given) as hub:
        items = gapless.subscribe(hub.url, "t", token=token, on_status=told)
        taken: list[gapless.Item] = []
        thread = in_thread(lambda: taken.extend(items))
        hub.asked(1)
        if given:
            assert waiting.wait(PATIENCE)
        items.close()
        # Sooner than the bound of a head, a silence or the delay would end it.
        thread.join(PATIENCE / 2)
        assert not thread.is_alive(), "it ends"
        assert taken == []


def test_close_ends_a_wait_for_a_connection() -> None:
    begun = threading.Event()
    release = threading.Event()

    class Connecting(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            begun.set()
            release.wait(3 * PATIENCE)
            raise httpx.ConnectError("nobody is there")

    with httpx.Client(transport=Connecting()) as client:
        items = gapless.subscribe("http://hub.example", "t", client=client)
        thread = in_thread(lambda: list(items))
        assert begun.wait(PATIENCE)
        items.close()
        ended(thread)
        with pytest.raises(StopIteration):
            next(items)
        release.set()


def test_close_ends_a_wait_on_a_connection_that_was_there_before() -> None:
    with listening(several(RECEIPT, b""), several(RECEIPT, sse())) as hub:
        for _ in range(2):
            with httpx.Client() as client:
                gapless.publish(hub.url, "t", "x", client=client)
                items = gapless.subscribe(hub.url, "t", client=client)
                thread = in_thread(partial(list, items))
                until("it asks", lambda: b"GET" in hub.connections[-1].request)
                items.close()
                ended(thread)


def test_close_leaves_a_connection_that_is_not_its_own() -> None:
    """The subscription's stream has ended, and its connection is another request's now."""
    later = answer(503, headers="Retry-After: 600\r\n")
    half = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhalf"
    with listening(several(later, half)) as hub, httpx.Client() as client:
        waits = threading.Event()
        told: list[gapless.Status] = []

        def tell(status: gapless.Status) -> None:
            told.append(status)
            if isinstance(status, gapless.Waiting):
                waits.set()

        items = gapless.subscribe(hub.url, "t", client=client, on_status=tell)
        thread = in_thread(lambda: list(items))
        assert waits.wait(PATIENCE)
        with client.stream("GET", hub.url + "/other") as other:
            assert len(hub.connections) == 1
            items.close()
            ended(thread)
            assert not hub.connections[0].left
            hub.send(b" more")
            assert other.read() == b"half more"


@pytest.mark.parametrize("what", ["token", "get", "set"])
def test_close_does_not_wait_for_a_function_of_the_caller(what: str) -> None:
    waiting = threading.Event()
    release = threading.Event()

    def stuck(name: str) -> None:
        if name == what:
            waiting.set()
            release.wait(3 * PATIENCE)

    class Store:
        def get(self) -> str | None:
            stuck("get")
            return None

        def set(self, cursor: str) -> None:
            stuck("set")

    def token() -> str:
        stuck("token")
        return "t"

    with listening(sse(block(1), block(2))) as hub:
        items = gapless.subscribe(hub.url, "t", token=token, store=Store())
        taken: list[gapless.Item] = []
        thread = in_thread(lambda: taken.extend(items))
        assert waiting.wait(PATIENCE)
        items.close()
        release.set()
        ended(thread)
        assert len(taken) == (1 if what == "set" else 0)
        assert len(hub.connections) == (1 if what == "set" else 0)


def test_close_within_a_function_of_the_caller_ends_the_loop() -> None:
    with listening(sse(block(1))) as hub:
        items = gapless.subscribe(hub.url, "t", on_status=lambda _: items.close())
        assert list(items) == []
        assert hub.connections == []


def test_a_subscription_that_failed_says_so_again() -> None:
    refused = answer(403, b'{"code":"forbidden"}', "application/problem+json")

    async def main() -> None:
        items = aio.subscribe(hub.url, "t")
        for _ in range(2):
            with pytest.raises(HubProblem):
                await anext(items)
        await items.aclose()

    with listening(refused, refused) as hub:
        items = gapless.subscribe(hub.url, "t")
        for _ in range(2):
            with pytest.raises(HubProblem):
                next(items)
        items.close()
        run(main())
        assert len(hub.connections) == 2


def test_a_subscription_whose_wait_was_cancelled_has_not_ended() -> None:
    async def main() -> None:
        items = aio.subscribe(hub.url, "t")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(items), 0.2)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="cancelled"):
                await anext(items)

    with listening(sse()) as hub:
        run(main())
        hub.left()


def test_a_second_consumer_does_not_end_a_subscription() -> None:
    async def main() -> None:
        told: list[gapless.Status] = []
        items = aio.subscribe(hub.url, "t", on_status=told.append)
        first = asyncio.create_task(anext(items))
        await soon(lambda: gapless.Open() in told)
        with pytest.raises(RuntimeError, match="running"):
            await anext(items)
        hub.send(block(1))
        assert isinstance(await first, Event)

    with listening(sse()) as hub:
        run(main())


JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize("reused", [False, True], ids=["new", "reused"])
@pytest.mark.parametrize(("head", "drop"), [(b"HTTP/1.1 200 OK\r\nX: ", b"x"), (JSON, b" ")], ids=["head", "body"])
def test_an_answer_that_comes_in_drops_is_bounded_as_a_whole(head: bytes, drop: bytes, reused: bool) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client:
            if reused:
                await aio.publish(hub.url, "t", "x", client=client)
            with pytest.raises(PublishUncertain):
                await aio.publish(hub.url, "t", "x", give_up_after=0.5, client=client)

    drops = dripping(head, drop)
    given = [several(RECEIPT, drops), drops, drops] if reused else [drops] * 3
    with listening(*given) as hub:
        caught: list[BaseException] = []

        def publish() -> None:
            with httpx.Client() as client:
                if reused:
                    gapless.publish(hub.url, "t", "x", client=client)
                try:
                    gapless.publish(hub.url, "t", "x", give_up_after=0.5, client=client)
                except PublishUncertain as error:
                    caught.append(error)

        ended(in_thread(publish))
        assert len(caught) == 1
    with listening(*given) as hub:
        run(main())


@pytest.mark.parametrize("given", [b"", sse(), LATER], ids=["head", "body", "delay"])
def test_cancelling_a_task_closes_its_connection(given: bytes) -> None:
    async def main() -> None:
        async def consume() -> None:
            async for _ in aio.subscribe(hub.url, "t"):
                pass

        task = asyncio.create_task(consume())
        await soon(lambda: len(hub.connections) == 1 and b"\r\n\r\n" in hub.connections[0].request)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await soon(lambda: hub.connections[0].left)

    with listening(given) as hub:
        run(main())


def test_close_saves_what_the_consumer_is_done_with() -> None:
    class Store:
        saved: str | None = None

        def get(self) -> str | None:
            return None

        def set(self, cursor: str) -> None:
            self.saved = cursor

    store = Store()
    with listening(sse(block(1), block(2))) as hub:
        items = gapless.subscribe(hub.url, "t", store=store)
        next(items)
        items._io.stop()
        assert list(items) == []
        assert store.saved == "e-1"
        hub.left()


def test_what_a_store_raises_ends_the_loop() -> None:
    class Store:
        def get(self) -> str | None:
            return None

        def set(self, cursor: str) -> None:
            # One that is kept in a hub may raise this. It is not the subscription's.
            raise HubProblem(503, {})

    async def main() -> None:
        async for _ in aio.subscribe(hub.url, "t", store=Store()):
            pass

    with listening(sse(block(1)), sse(block(1))) as hub:
        with pytest.raises(HubProblem):
            for _ in gapless.subscribe(hub.url, "t", store=Store()):
                pass
        with pytest.raises(HubProblem):
            run(main())
        assert len(hub.connections) == 2


def test_a_function_for_a_token_may_have_none_for_now() -> None:
    calls = 0

    def token() -> str:
        nonlocal calls
        calls += 1
        if calls % 2 == 1:
            raise NetworkError("the login is down")
        return "a"

    async def later() -> str:
        return token()

    with listening(RECEIPT, RECEIPT) as hub:
        assert gapless.publish(hub.url, "t", "x", token=token).id == "e-1"
        assert run(aio.publish(hub.url, "t", "x", token=later)).id == "e-1"
        assert calls == 4


def test_what_a_function_for_a_token_raises_does_not_hide_an_uncertain_publish() -> None:
    calls = 0

    def token() -> str:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise KeyError("signed out")
        return "a"

    half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with listening(half, answer(401), half, answer(401)) as hub:
        with pytest.raises(PublishUncertain) as caught:
            gapless.publish(hub.url, "t", "x", key="k", token=token)
        assert isinstance(caught.value.__cause__, KeyError)
        with pytest.raises(PublishUncertain) as caught:
            run(aio.publish(hub.url, "t", "x", key="k", token=token))
        assert isinstance(caught.value.__cause__, KeyError)
        assert caught.value.key == "k"


def test_a_client_of_the_caller_is_used_and_stays_open() -> None:
    async def main() -> None:
        async with httpx.AsyncClient(headers={"x-from": "caller"}) as client:
            await aio.publish(hub.url, "t", "x", client=client)
            assert not client.is_closed

    with listening(RECEIPT, GONE, RECEIPT) as hub:
        with httpx.Client(headers={"x-from": "caller"}) as client:
            gapless.publish(hub.url, "t", "x", client=client)
            assert list(gapless.subscribe(hub.url, "t", client=client)) == []
            assert not client.is_closed
        run(main())
        assert all(b"x-from: caller" in connection.request for connection in hub.connections)
        assert len(hub.connections) == 3


def test_a_client_of_the_caller_follows_no_redirects() -> None:
    async def main() -> None:
        async with httpx.AsyncClient(follow_redirects=True) as client:
            with pytest.raises(HubProblem, match="/elsewhere"):
                await aio.publish(hub.url, "t", "x", client=client)
            with pytest.raises(HubProblem, match="redirect"):
                await anext(aio.subscribe(hub.url, "t", client=client))

    moved = answer(302, headers="Location: /elsewhere\r\n")
    with listening(*[moved] * 4, RECEIPT) as hub:
        with httpx.Client(follow_redirects=True) as client:
            with pytest.raises(HubProblem, match="/elsewhere"):
                gapless.publish(hub.url, "t", "x", client=client)
            with pytest.raises(HubProblem, match="redirect"):
                next(gapless.subscribe(hub.url, "t", client=client))
        run(main())
        assert len(hub.connections) == 4


def test_a_response_without_its_end_is_a_broken_one() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with listening(half, RECEIPT) as hub:
        assert gapless.publish(hub.url, "t", "x").id == "e-1"
        first, second = hub.connections
        assert first.request == second.request
    with listening(half, RECEIPT) as hub:
        assert run(aio.publish(hub.url, "t", "x")).id == "e-1"


def test_a_publish_is_given_up() -> None:
    with listening() as hub:
        with pytest.raises(PublishUncertain):
            gapless.publish(hub.url, "t", "x", give_up_after=0.3)
        with pytest.raises(PublishUncertain) as caught:
            run(aio.publish(hub.url, "t", "x", give_up_after=0.3))
        assert isinstance(caught.value.__cause__, NetworkError)


def test_a_publish_stream_makes_its_writer_wait() -> None:
    with listening(b"") as hub:
        tokens = gapless.stream(hub.url, "t")
        written = 0

        def write() -> None:
            nonlocal written
            for n in range(10_000):
                tokens.write(n)
                written += 1

        def body() -> None:
            with suppress(KeyError, RuntimeError), tokens:
                write()

        writer = in_thread(body)
        until("the writer waits", lambda: written >= 4096)
        hub.asked(1)
        # The first batch is what was there when the sender came, and so is not counted.
        sent = hub.connections[0].request.count(b'"topic"')
        until("it is full", lambda: written == sent + 4096)
        assert len(hub.connections) == 1
        with pytest.raises(KeyError), tokens:
            raise KeyError
        ended(writer)
        hub.left()


def test_a_publish_stream_of_asyncio_makes_its_writer_wait() -> None:
    async def main() -> None:
        written = 0

        async def write() -> None:
            nonlocal written
            for n in range(10_000):
                await tokens.write(n)
                written += 1

        with pytest.raises(KeyError):
            async with aio.stream(hub.url, "t") as tokens:
                writer = asyncio.create_task(write())
                await soon(lambda: len(hub.connections) == 1 and complete(hub.connections[0].request))
                sent = hub.connections[0].request.count(b'"topic"')
                await soon(lambda: written == sent + 4096)
                # What waits for a flush may be cancelled; the sender goes on.
                flush = asyncio.create_task(tokens.flush())
                await asyncio.sleep(0)
                flush.cancel()
                await asyncio.wait({flush})
                assert tokens._sender is not None
                assert not tokens._sender.done()
                raise KeyError
        with pytest.raises(RuntimeError, match="left"):
            await writer
        await soon(lambda: hub.connections[0].left)

    with listening(b"") as hub:
        run(main())


def test_a_publish_stream_that_failed_says_so() -> None:
    refused = answer(409, b'{"code":"topic-closed"}', "application/problem+json")

    async def main() -> None:
        tokens = aio.stream(hub.url, "t")
        await tokens.write("x")
        with pytest.raises(HubProblem):
            await tokens.flush()
        with pytest.raises(HubProblem):
            await tokens.write("y")
        with pytest.raises(HubProblem):
            await tokens.close()

    with listening(refused, refused) as hub:
        tokens = gapless.stream(hub.url, "t")
        tokens.write("x")
        with pytest.raises(HubProblem):
            tokens.flush()
        with pytest.raises(HubProblem):
            tokens.write("y")
        with pytest.raises(HubProblem):
            tokens.finish("z")
        run(main())
        assert len(hub.connections) == 2


def test_a_publish_stream_is_given_up_within_its_time() -> None:
    async def main() -> None:
        tokens = aio.stream(hub.url, "t", give_up_after=0.3)
        await tokens.write("x")
        with pytest.raises(PublishUncertain):
            await tokens.close()

    with listening() as hub:
        tokens = gapless.stream(hub.url, "t", give_up_after=0.3)
        tokens.write("x")
        with pytest.raises(PublishUncertain):
            tokens.close()
        run(main())


def test_a_publish_stream_takes_no_more_after_its_end() -> None:
    async def main() -> None:
        async with aio.stream(hub.url, "t") as tokens:
            await tokens.write("x")
            await tokens.write("y")
        with pytest.raises(RuntimeError, match="closed"):
            await tokens.write("z")
        assert (await tokens.close()) == gapless.Receipt("t", "e-1", "T", 0)

    with listening(RECEIPTS, RECEIPTS) as hub:
        with gapless.stream(hub.url, "t") as tokens:
            tokens.write("x")
        with pytest.raises(RuntimeError, match="closed"):
            tokens.write("z")
        assert tokens.close() == gapless.Receipt("t", "e-1", "T", 0)
        with gapless.stream(hub.url, "t") as empty:
            assert empty.flush() is None
        run(main())
        # What is written in the same turn of the loop goes out together.
        assert hub.connections[1].request.count(b'"topic"') == 2
