"""Randomness that cannot be guessed."""

from __future__ import annotations

from ._host import host


def next() -> int:
    """64 bits."""
    return host.entropy.next()


def bytes(count: int) -> bytes:  # noqa: A001
    """At most 64 KiB."""
    return host.entropy.bytes(count)
