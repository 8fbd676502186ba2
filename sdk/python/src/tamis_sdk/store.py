"""State that every instance of every worker shares."""

from __future__ import annotations

from ._host import host
from ._values import Body, body, some_ms
from .errors import StoreError, raising


class Store:
    """A store that the filter's `allow` table grants. Raises `StoreError`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get(self, key: str) -> bytes | None:
        """The value; None if there is no such key, or no longer."""
        with raising(StoreError):
            return host.store.get(self.name, key)

    def set(self, key: str, value: Body, ttl: float | None = None) -> None:
        """Without a time to live (in seconds), the value stays until it is deleted or pushed out."""
        with raising(StoreError):
            host.store.set(self.name, key, body(value), some_ms(ttl))

    def compare_and_set(self, key: str, expected: Body | None, value: Body, ttl: float | None = None) -> bool:
        """Writes only if the present value is `expected` (None: if there is none)."""
        present = None if expected is None else body(expected)
        with raising(StoreError):
            return host.store.compare_and_set(self.name, key, present, body(value), some_ms(ttl))

    def delete(self, key: str) -> None:
        """No error if there is no such key."""
        with raising(StoreError):
            host.store.delete(self.name, key)

    def increment(self, key: str, by: int = 1, ttl: float | None = None) -> int:
        """Adds to a number of 64 bits that begins at zero, and returns the sum."""
        with raising(StoreError):
            return host.store.increment(self.name, key, by, some_ms(ttl))
