"""Does what effects say, in the caller's thread, with httpx."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import Context, copy_context
from functools import cache
from queue import Empty, SimpleQueue
from ssl import SSLContext
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


class _Worker:
    """A thread for calls that may block, one after the other, so that who waits for one can leave it."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        threading.Thread(target=_work, args=(self._calls,), name="gapless-io", daemon=True).start()

    def do(self, call: Callable[[], object]) -> None:
        self._calls.put(call)

    def end(self) -> None:
        self._calls.put(None)


def _work(calls: SimpleQueue[Callable[[], object] | None]) -> None:
    while (call := calls.get()) is not None:
        call()
        # Else what it refers to lives until the next one.
        del call


class _Exchange:
    """A request and its response. All but `give_up` is called by one thread at a time."""

    def __init__(self, client: httpx.Client, base: str, wanted: Request) -> None:
        self._client = client
        self._base = base
        self._wanted = wanted
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())
        # What httpcore looks up when it sends, and again when it begins to read the body.
        self._patience = dict.fromkeys(("connect", "read", "write", "pool"), wanted.patience)
        self._lock = threading.RLock()
        self._given_up = False
        # That of a connection which this request has opened.
        self._opened: socket.socket | None = None
        # That of its connection, while no other request can have it.
        self._own: socket.socket | None = None

    def send(self) -> Head | NetworkError:
        request = self._client.build_request(
            self._wanted.method,
            self._base + self._wanted.path,
            headers=dict(self._wanted.headers),
            content=self._wanted.body,
            extensions={"timeout": self._patience, "trace": self._trace},
        )
        try:
            response = self._response = self._client.send(request, stream=True, follow_redirects=False)
        except httpx.RequestError as error:
            return network_error(error)
        with self._lock:
            stream = response.extensions.get("network_stream")
            if stream is not None and response.http_version.startswith("HTTP/1") and not response.is_closed:
                self._own = stream.get_extra_info("socket")
        self._pieces = response.iter_bytes()
        return Head(response.status_code, {name.lower(): value for name, value in response.headers.items()})

    def read(self, patience: float) -> bytes | NetworkError:
        self._patience["read"] = patience
        try:
            return next(self._pieces, b"")
        except httpx.RequestError as error:
            return network_error(error)

    def close(self) -> None:
        if self._response is not None:
            self._response.close()

    def give_up(self) -> None:
        """Ends what another thread waits for here, where the connection is its own. Elsewhere that ends by itself."""
        with self._lock:
            self._given_up = True
            if self._own is not None:
                # OSError: it is closed already.
                with suppress(OSError):
                    # Not a TLS socket's own: that one changes what the other thread reads with.
                    socket.socket.shutdown(self._own, socket.SHUT_RDWR)

    def _trace(self, name: str, info: dict[str, object]) -> None:
        """Learns whose the connection is. One of HTTP/2 may have other requests, and one of HTTP/1 after this one."""
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._opened = info["return_value"].get_extra_info("socket")  # type: ignore[attr-defined]
            return
        with self._lock:
            if name == "http11.send_request_headers.started":
                self._own = self._opened
            elif name.startswith("http2.") or name.endswith("response_closed.started"):
                self._own = self._opened = None
            if self._given_up and name.endswith("send_request_headers.started"):
                raise httpx.RequestError("it was given up before it was sent")


class Io:
    def __init__(
        self, base: str, client: httpx.Client | None, token: Token | None = None, store: CursorStore | None = None
    ) -> None:
        self._base = base
        self._client = client
        self._owned: httpx.Client | None = None
        self._token = token
        self._store = store
        self._exchange: _Exchange | None = None
        self._worker: _Worker | None = None
        # What is waited for; None in it is `stop`. A signal handler may put it there, which an Event does not allow.
        self._answers: SimpleQueue[tuple[Any, BaseException | None] | None] = SimpleQueue()
        self.stopped = False

    def stop(self) -> None:
        """Ends what another thread waits for here, but not a function of the caller."""
        self.stopped = True
        self._answers.put(None)

    def close(self) -> None:
        self._rest()
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
            self._rest()
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
                self._wait(seconds)
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

    def _send(self, wanted: Request) -> object:
        self._close_response()
        client = self._client or self._owned
        if client is None:
            client = self._owned = httpx.Client(verify=tls())
        exchange = self._exchange = _Exchange(client, self._base, wanted)
        return self._within(wanted.patience, exchange.send)

    def _read(self, patience: float) -> object:
        exchange = self._exchange
        return self._within(patience, lambda: exchange.read(patience)) if exchange else b""

    def _within(self, seconds: float, call: Callable[[], object]) -> object:
        """Its result, in so many seconds in all: httpx counts each read anew, and knows no `stop`."""
        context = copy_context()
        worker = self._worker = self._worker or _Worker()
        answer = None
        try:
            answer = self._wait(seconds, lambda answers: worker.do(lambda: answers.put(_called(context, call))))
        finally:
            if answer is None:
                self._give_up(worker)
        if answer is None:
            return NetworkError("it was stopped" if self.stopped else f"no answer in {seconds:.3g} s")
        result, error = answer
        if error is not None:
            raise error
        return result

    def _wait(self, seconds: float, begin: Callable[[Any], None] = lambda _: None) -> Any:
        """Waits for an answer to what begins here; None without one in time, or when stopped."""
        # Its own queue: the answer to what was given up before may still come. Before it looks, so that a stop is seen.
        answers = self._answers = SimpleQueue()
        if self.stopped:
            return None
        begin(answers)
        with suppress(Empty):
            return answers.get(timeout=seconds)
        return None

    def _give_up(self, worker: _Worker) -> None:
        """Leaves the connection to the worker, which closes it when it comes back."""
        exchange, self._exchange = self._exchange, None
        owned, self._owned = self._owned, None
        self._worker = None
        if exchange is not None:
            exchange.give_up()
            worker.do(exchange.close)
        if owned is not None:
            worker.do(owned.close)
        worker.end()

    def _rest(self) -> None:
        self._close_response()
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()

    def _close_response(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.close()


def _called(context: Context, call: Callable[[], object]) -> tuple[object, BaseException | None]:
    try:
        return context.run(call), None
    except BaseException as error:
        return None, error
