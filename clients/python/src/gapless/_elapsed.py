"""Time that passes, also while a computer sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


def stopwatch(monotonic: Clock = time.monotonic, wall: Clock = time.time) -> Clock:
    """Counts the seconds since now.

    The larger of two clocks, because each may miss some: the monotonic one stands still while a computer sleeps, on
    many systems, and the other one may be set back.
    """
    begun = monotonic(), wall()
    return lambda: max(monotonic() - begun[0], wall() - begun[1])
