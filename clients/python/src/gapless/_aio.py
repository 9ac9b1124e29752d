"""Does what effects say, in a task of asyncio, with httpx. Beside `_io.py`, line by line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from inspect import isawaitable
from typing import Any, Protocol, TypeVar

import httpx

from ._effects import (
    Close,
    Deliver,
    Effect,
    GetToken,
    Head,
    LoadCursor,
    Machine,
    Read,
    Request,
    Rule,
    SaveCursor,
    Sleep,
)
from ._errors import NetworkError
from ._io import network_error, tls

T = TypeVar("T")

#: A bearer token, or a function that gets one. It is called for the first request, and again after a 401. When it
#: raises a NetworkError it is called again later; anything else that it raises ends the call.
Token = str | Callable[[], str] | Callable[[], Awaitable[str]]


class CursorStore(Protocol):
    """Keeps a cursor where it outlives the process. `set` is never called again before it has finished."""

    def get(self) -> str | Awaitable[str | None] | None: ...

    def set(self, cursor: str, /) -> object: ...


async def _within(seconds: float, work: Coroutine[Any, Any, T]) -> T | NetworkError:
    """Its result, in so many seconds in all: httpx counts each read anew."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            # Looked at, also when this is cancelled.
            task.exception()
    return NetworkError(f"no answer in {seconds:.3g} s") if task.cancelled() else task.result()


async def _finished(value: object) -> object:
    return await value if isawaitable(value) else value


class AsyncIo:
    def __init__(
        self, base: str, client: httpx.AsyncClient | None, token: Token | None = None, store: CursorStore | None = None
    ) -> None:
        self._base = base
        self._client = client
        self._owned: httpx.AsyncClient | None = None
        self._token = token
        self._store = store
        self._response: httpx.Response | None = None
        self._pieces: AsyncGenerator[bytes, None] | None = None
        # What httpcore looks up when it sends, and again when it begins to read the body.
        self._patience: dict[str, float] = {}

    async def close(self) -> None:
        await self._close_response()
        if self._owned is not None:
            await self._owned.aclose()
            self._owned = None

    async def complete(self, rule: Rule[T]) -> T:
        """Does all that a rule asks for."""
        machine = Machine(rule)
        try:
            while machine.effect is not None:
                await self.step(machine)
        finally:
            machine.close()
            await self._close_response()
        return machine.result

    async def step(self, machine: Machine[T]) -> None:
        """Does one thing, but for Deliver."""
        assert machine.effect is not None
        try:
            result = await self._do(machine.effect)
        except Exception as error:
            machine.fail(error)
        machine.resume(result)

    async def _do(self, effect: Effect) -> object:
        match effect:
            case Request():
                return await _within(effect.patience, self._send(effect))
            case Read(patience):
                return await _within(patience, self._read(patience))
            case Close():
                await self._close_response()
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case GetToken():
                return await self._new_token()
            case LoadCursor():
                return await _finished(self._store.get()) if self._store else None
            case SaveCursor(cursor):
                if self._store:
                    await _finished(self._store.set(cursor))
            case Deliver():
                raise AssertionError("the consumer's")
        return None

    async def _new_token(self) -> object:
        try:
            return await _finished(self._token()) if callable(self._token) else None
        except NetworkError as error:
            return error

    async def _send(self, wanted: Request) -> Head | NetworkError:
        await self._close_response()
        client = self._client or self._owned
        if client is None:
            client = self._owned = httpx.AsyncClient(verify=tls())
        self._patience = dict.fromkeys(("connect", "read", "write", "pool"), wanted.patience)
        request = client.build_request(
            wanted.method,
            self._base + wanted.path,
            headers=dict(wanted.headers),
            content=wanted.body,
            extensions={"timeout": self._patience},
        )
        try:
            self._response = await client.send(request, stream=True, follow_redirects=False)
        except httpx.RequestError as error:
            return network_error(error)
        # An async generator, though httpx calls it an iterator: it is closed here, in the task that reads it.
        self._pieces = self._response.aiter_bytes()  # type: ignore[assignment]
        return Head(self._response.status_code, {name.lower(): value for name, value in self._response.headers.items()})

    async def _read(self, patience: float) -> bytes | NetworkError:
        self._patience["read"] = patience
        if self._pieces is None:
            return b""
        try:
            return await self._pieces.__anext__()
        except StopAsyncIteration:
            return b""
        except httpx.RequestError as error:
            return network_error(error)

    async def _close_response(self) -> None:
        response, self._response = self._response, None
        pieces, self._pieces = self._pieces, None
        if pieces is not None:
            await pieces.aclose()
        if response is not None:
            await response.aclose()
