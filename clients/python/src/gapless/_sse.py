"""The event stream format of WHATWG HTML, 9.2.5 and 9.2.6, from bytes."""

from __future__ import annotations

from dataclasses import dataclass

# Largest event in bytes: twice the maximum of `publish.event_bytes`, because an envelope escapes some.
MAX_EVENT = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Block:
    """What a blank line ended. `data` is None if it had no `data` line: then only its id counts."""

    event: str
    data: str | None
    id: str | None


@dataclass(frozen=True, slots=True)
class Retry:
    """A `retry` line. It counts at once: a stream may end directly after it."""

    seconds: float


class TooLarge(Exception):
    """An event is larger than the limit."""


_BOM = b"\xef\xbb\xbf"


class Parser:
    """Takes a stream in pieces of any size. An unfinished block at its end is never returned."""

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        # The first bytes, while they may be a byte order mark.
        self._start: bytes | None = b""
        self._after_cr = False
        #: Comments so far: keepalives.
        self.comments = 0
        # The line that has no end yet, in pieces: joined once, however many there are.
        self._line: list[bytes] = []
        self._size = 0
        self._clear()

    def _clear(self) -> None:
        self._event = ""
        self._data: list[str] | None = None
        self._id: str | None = None

    def feed(self, piece: bytes) -> list[Block | Retry]:
        if self._start is not None:
            piece = self._start + piece
            if len(piece) < len(_BOM) and _BOM.startswith(piece):
                self._start = piece
                return []
            self._start = None
            piece = piece.removeprefix(_BOM)
        if not piece:
            return []
        # A CR ends its line at once; an LF that follows it belongs to it.
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_cr = False
            if not piece:
                return []
        self._after_cr = piece.endswith(b"\r")
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

        found: list[Block | Retry] = []
        *ended, rest = piece.split(b"\n")
        for line in ended:
            self._grow(len(line))
            self._line.append(line)
            whole = b"".join(self._line)
            self._line.clear()
            result = self._field(whole.decode("utf-8", "replace")) if whole else self._dispatch()
            if result is not None:
                found.append(result)
        if rest:
            self._grow(len(rest))
            self._line.append(rest)
        return found

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            raise TooLarge

    def _field(self, line: str) -> Retry | None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            if self._data is None:
                self._data = []
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            # A delay that long has no meaning, and an int of thousands of digits is an error.
            return Retry(int(value[:15]) / 1000)
        elif not name:
            self.comments += 1
            if self._data is None:
                # Keepalives between events add up to no size.
                self._size = 0
        return None

    def _dispatch(self) -> Block | None:
        event, data, id = self._event, self._data, self._id
        self._clear()
        self._size = 0
        if data is None and id is None:
            return None
        return Block(event or "message", None if data is None else "\n".join(data), id)
