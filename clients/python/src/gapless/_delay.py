"""Delays before another attempt, in seconds, as `gapless tail` has them."""

from __future__ import annotations

# Before a stream has sent `retry:`. WHATWG HTML, 9.2.3, says "a few seconds".
DEFAULT_RETRY = 3.0

# Shortest delay, so that a client does not spin after `retry: 0`.
_MIN = 0.1

# Longest delay after failures, unless `retry` is longer: a restarted hub is found within about a minute.
_MAX = 60.0

# Longest `retry` or `Retry-After` that counts: a client that is disconnected for longer seems broken.
_MAX_RETRY = 600.0


def delay(retry: float, retry_after: float, failures: int, chance: float) -> float:
    """The delay after so many failures in a row.

    After a stream that ended in order it is `retry`, which the hub has randomized already. With each failure it
    doubles, and up to a quarter is added by `chance` (0 to 1), because many clients reconnect to a restarted hub.
    """
    base = min(max(retry, _MIN), _MAX_RETRY)
    after = min(retry_after, _MAX_RETRY)
    if failures == 0:
        return max(base, after)
    # 2^16 times the shortest delay is past the longest.
    grown = min(base * 2.0 ** min(failures - 1, 16), max(_MAX, base))
    return max(grown * (1 + chance / 4), after)
