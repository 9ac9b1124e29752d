"""A server that gives each connection the next answer, and notes when a client has left it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from waits import PATIENCE, until


class Connection:
    def __init__(self) -> None:
        self.request = b""
        self.left = False


#: What a connection gets, as bytes, or as a function that talks to the client after its first request.
Answer = bytes | Callable[[socket.socket, Connection], None]


class Listener:
    """An answer of no bytes is none: the connection stays open. One that ends with `...` stays open after it."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.connections: list[Connection] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            client.settimeout(3 * PATIENCE)
            self._sockets.append(client)
            answer = self._answers.pop(0) if self._answers else b""
            threading.Thread(target=self._serve, args=(client, answer), daemon=True).start()

    def _serve(self, client: socket.socket, answer: Answer) -> None:
        connection = Connection()
        self.connections.append(connection)
        try:
            receive(client, connection)
            if callable(answer):
                answer(client, connection)
                return
            client.sendall(answer.removesuffix(b"..."))
            if answer and not answer.endswith(b"..."):
                client.shutdown(socket.SHUT_WR)
            while client.recv(65_536):
                pass
        except OSError:
            pass
        finally:
            connection.left = True
            client.close()

    def close(self) -> None:
        self._server.close()
        for client in self._sockets:
            client.close()

    def send(self, data: bytes) -> None:
        """Sends this to the first client."""
        self._sockets[0].sendall(data)

    def asked(self, count: int) -> None:
        """Waits for so many requests."""
        until(f"{count} requests", lambda: sum(complete(one.request) for one in self.connections) >= count)

    def left(self, index: int = 0) -> None:
        """Waits until the client has closed a connection."""
        until("the client has left", lambda: self.connections[index].left)


def receive(client: socket.socket, connection: Connection) -> None:
    """Waits for a request."""
    connection.request = b""
    while not complete(connection.request):
        data = client.recv(65_536)
        if not data:
            raise ConnectionError
        connection.request += data


def several(*answers: Answer) -> Answer:
    """A connection for so many requests. The last answer stays open."""

    def serve(client: socket.socket, connection: Connection) -> None:
        for index, answer in enumerate(answers):
            if index > 0:
                receive(client, connection)
            if callable(answer):
                answer(client, connection)
            else:
                client.sendall(answer.removesuffix(b"..."))
        while client.recv(65_536):
            pass

    return serve


def dripping(head: bytes, drop: bytes) -> Answer:
    """After the head a drop comes again and again, and no end."""

    def serve(client: socket.socket, _: Connection) -> None:
        client.sendall(head)
        while True:
            client.sendall(drop)
            time.sleep(0.02)

    return serve


def complete(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    if not end:
        return False
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return len(body) >= int(length.partition(b":")[2])


@contextmanager
def listening(*answers: Answer) -> Iterator[Listener]:
    listener = Listener(*answers)
    try:
        yield listener
    finally:
        listener.close()


def sse(*blocks: bytes, more: bool = True) -> bytes:
    """A stream of these blocks, which stays open if there may be more."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nStream-Keepalive: 15\r\nConnection: close\r\n\r\n"
    return head + b"".join(blocks) + (b"..." if more else b"")


def answer(status: int, body: bytes = b"", kind: str = "application/json", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status} Answer\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body
