"""Text, bytes, fields and times, on their way to the proxy and back."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Union

from ._host import host

#: The value of a field. In text a character is a byte (Latin-1), as WSGI has it.
Value = Union[str, bytes, int]
#: Bytes, or text that becomes them as UTF-8.
Body = Union[str, bytes, bytearray, memoryview]
#: Fields that a filter hands over; a list is several values.
Fields = Union[Mapping[str, Any], Iterable[tuple[str, Any]]]


def value(of: Value) -> bytes:
    """The value of a field."""
    return of if isinstance(of, bytes) else str(of).encode("latin-1")


def text(of: bytes | None) -> str | None:
    """The value of a field as text."""
    return None if of is None else of.decode("latin-1")


def body(of: Body) -> bytes:
    """A body."""
    return of.encode() if isinstance(of, str) else bytes(of)


def fields(of: Fields | None) -> list[Any]:
    """Fields as the proxy takes them."""
    pairs = [] if of is None else of.items() if isinstance(of, Mapping) else of
    return [
        host.types.Field(name, value(one))
        for name, values in pairs
        for one in (values if isinstance(values, (list, tuple)) else [values])
    ]


def unpacked(packed: bytes) -> Iterator[tuple[str, str]]:
    """All fields, out of their packed form."""
    (left,) = struct.unpack_from("<I", packed)
    at = 4
    for _ in range(left):
        pieces = []
        for _ in range(2):
            (length,) = struct.unpack_from("<I", packed, at)
            pieces.append(packed[at + 4 : at + 4 + length])
            at += 4 + length
        yield pieces[0].decode(), pieces[1].decode("latin-1")


def ms(seconds: float) -> int:
    """Milliseconds, at least one."""
    return max(1, math.ceil(seconds * 1000))


def some_ms(seconds: float | None) -> int | None:
    """The same where there may be none."""
    return None if seconds is None else ms(seconds)
