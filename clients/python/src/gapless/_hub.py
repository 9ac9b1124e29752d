"""Requests to one hub with one credential."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from ._effects import GetToken, Head, Request, Rule, read, request
from ._elapsed import Clock
from ._errors import HubProblem, NetworkError, problem

# Largest body that is taken for a problem, in bytes: one has a few hundred, a proxy's page may have any.
_MAX_PROBLEM = 65_536


class TooLate(Exception):
    """The caller did not permit another request."""


class Hub:
    """Adds the token to requests, and renews it."""

    def __init__(self, url: str, token: object, clock: Clock = time.monotonic) -> None:
        """`token` is a text, a function for which GetToken stands, or None."""
        self.base = str(url).rstrip("/")
        _check_address(self.base)
        # Kept, because a function for it may ask a server.
        self._token = token if isinstance(token, str) else None
        self._renewable = callable(token)
        self._clock = clock
        # When the attempt in progress ends.
        self._deadline = 0.0
        #: The last request is on its way, or was: not so while a token is asked for.
        self.sent = False

    def send(
        self,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        patience: float,
        may_ask: Callable[[], bool] = lambda: True,
    ) -> Rule[Head]:
        """The head of a success (2xx). A 401 is answered once by a new token, where a function can get one.

        `patience`: seconds for the answers in all; `left` are those that are left for the body. `may_ask` is called
        directly before each request, when the token is there, and may forbid it: TooLate.
        """
        yield from self._authorize()
        if not may_ask():
            raise TooLate
        self._deadline = self._clock() + patience
        head = yield from self._request(path, headers, body)
        if head.status == 401 and self._renewable:
            self._token = None
            yield from self._authorize()
            if may_ask():
                head = yield from self._request(path, headers, body)
        if 200 <= head.status < 300:
            return head
        if head.status == 401 and self._renewable:
            # The next attempt asks for another.
            self._token = None
        raise (yield from self._problem_of(head))

    @property
    def left(self) -> float:
        """Seconds that are left of the attempt."""
        return max(self._deadline - self._clock(), 0.0)

    def _authorize(self) -> Rule[None]:
        """Sees to it that there is a token, if there is one at all."""
        self.sent = False
        if self._token is not None or not self._renewable:
            return
        token = yield GetToken()
        if isinstance(token, NetworkError):
            raise token
        if not isinstance(token, str):
            raise TypeError("the function for a token returned no text")
        self._token = token

    def _request(self, path: str, headers: Mapping[str, str], body: bytes | None) -> Rule[Head]:
        # Compression would hold events back, and what is asked for must be as large as it seems.
        all_headers = {"accept-encoding": "identity", **headers}
        if self._token is not None:
            all_headers["authorization"] = f"Bearer {plain(self._token, 'a token')}"
        wanted = Request("GET" if body is None else "POST", path, all_headers, body, self.left)
        self.sent = wanted.patience > 0
        return (yield from request(wanted))

    def _problem_of(self, head: Head) -> Rule[HubProblem]:
        body = b""
        try:
            while len(body) <= _MAX_PROBLEM:
                piece = yield from read(self.left)
                if not piece:
                    break
                body += piece
            else:
                body = b""
        except NetworkError:
            body = b""
        return problem(head.status, body, head.headers)


def _check_address(base: str) -> None:
    """A wrong address is an error of the caller, and must not look like a network that fails."""
    parts = urlsplit(base)
    if "@" in parts.netloc:
        raise ValueError("not the address of a hub: it has credentials: give them as the token")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not the address of a hub: {base!r} is no http or https URL with a host")
    if "?" in base or "#" in base:
        raise ValueError("not the address of a hub: it has a query or a fragment")
    _ = parts.port


def plain(value: str, what: str) -> str:
    """A value for a header. One that cannot be sent is an error of the caller, not of the network."""
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"{what} has a character that no header may have")
    return value
