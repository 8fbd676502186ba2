"""Time, as the proxy has it."""

from __future__ import annotations

import math

from ._host import host


def now_ns() -> int:
    """Nanoseconds since the Unix epoch."""
    return host.clock.now_ns()


def monotonic_ns() -> int:
    """Nanoseconds since an unknown moment; never goes back."""
    return host.clock.monotonic_ns()


def sleep(seconds: float) -> None:
    """Waits without holding a thread."""
    host.clock.sleep_ms(math.ceil(seconds * 1000))
