"""Does what effects say, in the caller's thread, with httpx."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from ssl import SSLContext
from typing import Protocol, TypeVar

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

T = TypeVar("T")

#: A bearer token, or a function that gets one. It is called for the first request, and again after a 401. When it
#: raises a NetworkError it is called again later; anything else that it raises ends the call.
Token = str | Callable[[], str]


class CursorStore(Protocol):
    """Keeps a cursor where it outlives the process."""

    def get(self) -> str | None: ...

    def set(self, cursor: str, /) -> object: ...


@cache
def tls() -> SSLContext:
    """One for all clients: to read the certificates of all authorities takes tens of milliseconds."""
    return httpx.create_ssl_context()


def network_error(error: httpx.RequestError) -> NetworkError:
    return NetworkError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


class Io:
    def __init__(
        self, base: str, client: httpx.Client | None, token: Token | None = None, store: CursorStore | None = None
    ) -> None:
        self._base = base
        self._client = client
        self._owned: httpx.Client | None = None
        self._token = token
        self._store = store
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())
        # What httpcore looks up when it sends, and again when it begins to read the body.
        self._patience: dict[str, float] = {}
        self._socket: socket.socket | None = None
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """Ends what another thread waits for here."""
        self._stopped.set()
        self._shut()

    def close(self) -> None:
        self._close_response()
        if self._owned is not None:
            self._owned.close()
            self._owned = None

    def complete(self, rule: Rule[T]) -> T:
        """Does all that a rule asks for."""
        machine = Machine(rule)
        try:
            while machine.effect is not None:
                if self.stopped:
                    raise NetworkError("it was stopped")
                self.step(machine)
        finally:
            machine.close()
            self._close_response()
        return machine.result

    def step(self, machine: Machine[T]) -> None:
        """Does one thing, but for Deliver."""
        assert machine.effect is not None
        try:
            result = self._do(machine.effect)
        except Exception as error:
            machine.fail(error)
        machine.resume(result)

    def _do(self, effect: Effect) -> object:
        match effect:
            case Request():
                return self._send(effect)
            case Read(patience):
                return self._read(patience)
            case Close():
                self._close_response()
            case Sleep(seconds):
                self._stopped.wait(seconds)
            case GetToken():
                return self._new_token()
            case LoadCursor():
                return self._store.get() if self._store else None
            case SaveCursor(cursor):
                if self._store:
                    self._store.set(cursor)
            case Deliver():
                raise AssertionError("the consumer's")
        return None

    def _new_token(self) -> object:
        try:
            return self._token() if callable(self._token) else None
        except NetworkError as error:
            return error

    def _send(self, wanted: Request) -> Head | NetworkError:
        self._close_response()
        client = self._client or self._owned
        if client is None:
            client = self._owned = httpx.Client(verify=tls())
        self._patience = dict.fromkeys(("connect", "read", "write", "pool"), wanted.patience)
        request = client.build_request(
            wanted.method,
            self._base + wanted.path,
            headers=dict(wanted.headers),
            content=wanted.body,
            extensions={"timeout": self._patience, "trace": self._trace},
        )
        try:
            self._response = client.send(request, stream=True, follow_redirects=False)
        except httpx.RequestError as error:
            return network_error(error)
        self._pieces = self._response.iter_bytes()
        return Head(self._response.status_code, {name.lower(): value for name, value in self._response.headers.items()})

    def _read(self, patience: float) -> bytes | NetworkError:
        self._patience["read"] = patience
        try:
            return next(self._pieces, b"")
        except httpx.RequestError as error:
            return network_error(error)

    def _close_response(self) -> None:
        response, self._response = self._response, None
        self._pieces = iter(())
        if response is not None:
            response.close()

    def _trace(self, name: str, info: dict[str, object]) -> None:
        """Learns the connection's socket, so that `stop` can end a wait for the head of an answer, too."""
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            stream = info["return_value"]
            self._socket = stream.get_extra_info("socket")  # type: ignore[attr-defined]
            if self.stopped:
                self._shut()

    def _shut(self) -> None:
        connection = self._socket
        if connection is not None:
            # OSError: it is closed already.
            with suppress(OSError):
                # Not a TLS socket's own: that one changes what the other thread reads with.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
