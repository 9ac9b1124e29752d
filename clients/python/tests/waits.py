"""How long a test waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Seconds that a test waits for anything: a machine with other work is slow.
PATIENCE = 30.0


def until(what: str, holds: Callable[[], T]) -> T:
    """Waits until it holds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        last: object
        try:
            value = holds()
            if value:
                return value
            last = value
        except Exception as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}; last: {last!r}")
        time.sleep(0.015)
