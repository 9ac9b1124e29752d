"""How the rules ask for what they do not do themselves.

A rule is a generator: it yields an effect, and is resumed with its result. It does no I/O and does not wait, so the
same rule serves a thread and an event loop: `_io.py` and `_aio.py` each do what the effects say, and decide nothing.
A failure of the network is a result. What a function of the caller raises (a token, a cursor store) ends the rule, but
for a NetworkError of the function for a token, which is a result, too.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NoReturn, TypeVar

from ._errors import NetworkError
from ._items import Item

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """Send a request; the result is a Head, or a NetworkError. The response before it is closed."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    #: Seconds until the head of the answer is there.
    patience: float


@dataclass(frozen=True, slots=True)
class Read:
    """Read a piece of the response that is open; the result is bytes, none at its end, or a NetworkError."""

    #: Seconds of silence that end it, counted only while it reads. No read of a response has more than the first.
    patience: float


@dataclass(frozen=True, slots=True)
class Close:
    """Close the response that is open, if there is one."""


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class GetToken:
    """Ask the caller's function; the result is the token, or a NetworkError if there is none for now."""


@dataclass(frozen=True, slots=True)
class LoadCursor:
    """Ask the caller's store; the result is a cursor or None."""


@dataclass(frozen=True, slots=True)
class SaveCursor:
    """Tell the caller's store."""

    cursor: str
    #: The consumer is done with the item before it, so this is due also when the consumer leaves.
    done: bool


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give an item to the consumer; the rule goes on when the consumer asks for the next."""

    item: Item


Effect = Request | Read | Close | Sleep | GetToken | LoadCursor | SaveCursor | Deliver

# A rule whose result is T.
Rule = Generator[Effect, Any, T]


@dataclass(frozen=True, slots=True)
class Head:
    status: int
    #: By names in lower case.
    headers: Mapping[str, str] = field(default_factory=dict)


def request(wanted: Request) -> Rule[Head]:
    if wanted.patience <= 0:
        raise NetworkError("the attempt took too long")
    result: Head | NetworkError = yield wanted
    if isinstance(result, NetworkError):
        raise result
    return result


def read(patience: float) -> Rule[bytes]:
    if patience <= 0:
        raise NetworkError("the attempt took too long")
    result: bytes | NetworkError = yield Read(patience)
    if isinstance(result, NetworkError):
        raise result
    return result


class CallerFailed(Exception):
    """A function of the caller has raised `error`. A rule may raise something else in its place; it does not go on."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Machine(Generic[T]):
    """A rule in progress: `effect` is what to do next, None when it is over and has a `result`."""

    effect: Effect | None
    result: T

    def __init__(self, rule: Rule[T]) -> None:
        self._rule = rule
        self.resume(None)

    def resume(self, result: object) -> None:
        try:
            self.effect = self._rule.send(result)
        except StopIteration as stop:
            self.effect = None
            self.result = stop.value

    def fail(self, error: Exception) -> NoReturn:
        """A function of the caller has raised this: raises it, or what the rule makes of it."""
        self.effect = None
        try:
            self._rule.throw(CallerFailed(error))
        except CallerFailed:
            raise error from error.__cause__
        raise AssertionError("a rule ends when a function of the caller fails")

    def close(self) -> None:
        self.effect = None
        self._rule.close()
