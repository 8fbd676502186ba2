"""Decisions about rates, made atomically by the proxy over its stores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ._host import host
from .errors import StoreError, raising
from .store import Store


@dataclass(frozen=True)
class Ask:
    """What an exchange wants to take."""

    key: str
    kind: Literal["rate", "calendar", "concurrency"]
    limit: int
    #: In seconds.
    window: float = 0
    #: How much of a rate can be saved up; without it, `limit`.
    burst: int | None = None
    cost: int = 1


@dataclass(frozen=True)
class Decision:
    """What the proxy decided about an ask."""

    allowed: bool
    remaining: int
    #: When asking again may help, in seconds; 0 if it was allowed.
    retry_after: float
    #: When the quota will be whole again, in seconds.
    reset_after: float


def take(store: Store, *asks: Ask) -> list[Decision]:
    """All or nothing: unless every ask is allowed, none is taken. Raises `StoreError`."""
    crossing = [
        host.quota.Ask(
            ask.key,
            host.quota.Kind[ask.kind.upper()],
            ask.limit,
            math.ceil(ask.window * 1000),
            (ask.limit if ask.burst is None else ask.burst) if ask.kind == "rate" else 0,
            ask.cost,
        )
        for ask in asks
    ]
    with raising(StoreError):
        decisions = host.quota.take(store.name, crossing)
    return [Decision(one.allowed, one.remaining, one.retry_after_ms / 1000, one.reset_after_ms / 1000) for one in decisions]
