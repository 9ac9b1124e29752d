"""Plays the part of the network and the caller for a rule: no I/O and no time passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gapless import Item, NetworkError
from gapless._effects import (
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
from gapless._hub import Hub

URL = "http://hub.example"


@dataclass
class Answer:
    """A response: its body in pieces, and then its end, or an error."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Sequence[bytes] = ()
    breaks: bool = False


def streamed(*pieces: bytes, breaks: bool = False, keepalive: str = "15") -> Answer:
    headers = {"content-type": "text/event-stream; charset=utf-8", "stream-keepalive": keepalive}
    return Answer(200, headers, pieces, breaks)


def block(n: int) -> bytes:
    data = f'{{"topic":"t","id":"e-{n}","time":"","event":"message","data":"{n}"}}'
    return f"data: {data}\nid: e-{n}\n\n".encode()


class Played:
    """Does what a rule asks for, and writes it down. Without an answer that is left there is no network."""

    def __init__(self, *answers: Answer | NetworkError, tokens: Sequence[Any] = (), cursor: str | None = None) -> None:
        self._answers = list(answers)
        self._tokens = list(tokens)
        self._cursor = cursor
        self._open: Iterator[bytes | NetworkError] = iter(())
        self.now = 0.0
        #: Another clock, and by how much longer each sleep is by one and the other.
        self.wall = 0.0
        self.frozen_now = 0.0
        self.frozen_wall = 0.0
        #: When each request was sent.
        self.sent: list[float] = []
        self.effects: list[Effect] = []

    def of(self, kind: type[Any]) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def run(self, rule: Rule[Any], until: Callable[[], bool] = lambda: False) -> Any:
        """The result of a rule; None if it is left before its end."""
        machine = Machine(rule)
        while (effect := machine.effect) is not None:
            self.effects.append(effect)
            if until():
                machine.close()
                return None
            assert len(self.effects) < 10_000, "it ends"
            try:
                result = self._do(effect)
            except Exception as error:
                machine.fail(error)
            machine.resume(result)
        return machine.result

    def _do(self, effect: Effect) -> object:
        match effect:
            case Request():
                self.sent.append(self.now)
                answer = self._answers.pop(0) if self._answers else NetworkError("nobody is there")
                if isinstance(answer, NetworkError):
                    return answer
                self._open = iter([*answer.pieces, *([NetworkError("it broke")] if answer.breaks else [])])
                return Head(answer.status, answer.headers)
            case Read():
                return next(self._open, b"")
            case Sleep(seconds):
                self.now += seconds + self.frozen_now
                self.wall += seconds + self.frozen_wall
            case GetToken():
                token = self._tokens.pop(0)
                if callable(token):
                    token = token()
                if isinstance(token, Exception) and not isinstance(token, NetworkError):
                    raise token
                return token
            case LoadCursor():
                return self._cursor
            case Close() | SaveCursor() | Deliver():
                pass
        return None

    @property
    def items(self) -> list[Item]:
        return [effect.item for effect in self.of(Deliver)]

    @property
    def delays(self) -> list[float]:
        return [effect.seconds for effect in self.of(Sleep)]


def hub(token: object = None, clock: Callable[[], float] = lambda: 0.0) -> Hub:
    return Hub(URL, token, clock)
