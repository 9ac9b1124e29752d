"""A TCP proxy in front of a hub, with faults. It runs in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from waits import PATIENCE

T = TypeVar("T")
_PIECE = 65_536


class Pair:
    """A connection of a client, and the one to the hub that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter, left: float) -> None:
        self.client = client
        self.hub: asyncio.StreamWriter | None = None
        # Bytes that may still go to the client.
        self.left = left
        self.tasks: set[asyncio.Task[None]] = set()
        self.frozen = False

    def stop(self) -> None:
        for task in self.tasks:
            task.cancel()

    def abort(self) -> None:
        self.stop()
        for end in (self.client, self.hub):
            if end is not None:
                end.transport.abort()


class Proxy:
    def __init__(self, hub_port: Callable[[], int]) -> None:
        self._hub_port = hub_port
        self._mode = "open"
        self._cut_after: list[int] = []
        self._lose = 0
        # None: the hub's.
        self._answers: list[dict[str, Any] | None] = []
        self._pairs: set[Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def step(self, step: dict[str, Any]) -> None:
        self._run(self._step(step))

    def close(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        await self._step({"is": "closed"})
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _step(self, step: dict[str, Any]) -> None:
        match step.get("is"):
            case None:
                pass
            case "silent":
                self._mode = "silent"
                for pair in self._pairs:
                    pair.frozen = True
                    pair.stop()
            case "open":
                self._mode = "open"
            case "cut" | "closed" as mode:
                self._mode = "open" if mode == "cut" else mode
                for pair in self._pairs:
                    pair.abort()
                self._pairs.clear()
            case other:
                raise AssertionError(f"no such proxy: {other}")
        self._cut_after = list(step.get("cut_after", self._cut_after))
        self._answers = list(step.get("answers", self._answers))
        self._lose = step.get("lose", self._lose)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "closed":
            writer.transport.abort()
            return
        pair = Pair(writer, self._cut_after.pop(0) if self._cut_after else float("inf"))
        self._pairs.add(pair)
        if self._mode == "silent":
            pair.frozen = True
            return
        try:
            hub_reader, pair.hub = await self._connect()
        except OSError:
            pair.abort()
            self._pairs.discard(pair)
            return
        if pair.frozen:
            return
        if pair not in self._pairs:
            pair.abort()
            return
        to_hub = asyncio.create_task(self._to_hub(pair, reader))
        to_client = asyncio.create_task(self._to_client(pair, hub_reader))
        pair.tasks = {to_hub, to_client}
        # Cancelled at the end of a test.
        with suppress(asyncio.CancelledError):
            await asyncio.wait(pair.tasks)
        if not pair.frozen:
            self._pairs.discard(pair)
            for end in (pair.client, pair.hub):
                with suppress(OSError):
                    end.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        connection = socket.socket()
        connection.setblocking(False)
        # Without it the system may take all that a slow consumer has not read, and the hub sees a fast one.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        try:
            await self._loop.sock_connect(connection, ("127.0.0.1", self._hub_port()))
            return await asyncio.open_connection(sock=connection)
        except BaseException:
            connection.close()
            raise

    async def _to_hub(self, pair: Pair, client: asyncio.StreamReader) -> None:
        assert pair.hub is not None
        passing = False
        with suppress(OSError):
            while data := await client.read(_PIECE):
                if self._answers and not passing:
                    answer = self._answers.pop(0)
                    if answer is not None:
                        await self._answer(pair, client, answer)
                        return
                    passing = True
                pair.hub.write(data)
                await pair.hub.drain()
            if pair.hub.can_write_eof():
                pair.hub.write_eof()
            return
        pair.abort()

    async def _answer(self, pair: Pair, client: asyncio.StreamReader, answer: dict[str, Any]) -> None:
        assert pair.hub is not None
        (to_client,) = pair.tasks - {asyncio.current_task()}
        to_client.cancel()
        pair.hub.transport.abort()
        body = answer.get("body", "").encode()
        headers = {**answer.get("headers", {}), "Content-Length": str(len(body)), "Connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        pair.client.write(f"HTTP/1.1 {answer['status']} Answer\r\n{lines}\r\n".encode() + body)
        pair.client.write_eof()
        # A close with unread bytes would be a reset, and take the answer with it.
        while await client.read(_PIECE):
            pass

    async def _to_client(self, pair: Pair, hub: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while data := await hub.read(_PIECE):
                if self._lose > 0:
                    self._lose -= 1
                    break
                part = data[: int(min(pair.left, len(data)))]
                pair.left -= len(part)
                pair.client.write(part)
                await pair.client.drain()
                if pair.left == 0:
                    # What may pass reaches the client before the end does.
                    pair.client.close()
                    with suppress(OSError):
                        await pair.client.wait_closed()
                    break
            else:
                pair.client.write_eof()
                return
        self._pairs.discard(pair)
        pair.abort()
