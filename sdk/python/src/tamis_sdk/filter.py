"""What a filter is: a class whose methods are the hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, Union

from ._values import Body
from .exchange import Outcome
from .message import Request, Response
from .reply import Reply
from .setup import Setup


class _Reset:
    def __repr__(self) -> str:
        return "RESET"


#: Returned by a hook, it ends the exchange without an answer: both sides see one that broke off.
RESET = _Reset()

#: What a hook of a head decides: nothing (the exchange goes on), an answer of its own, or an end.
Verdict = Union[Reply, _Reset, None]
#: What a hook of a piece decides: nothing (it goes on as it came), other bytes in its place, or an end.
ChunkVerdict = Union[Body, _Reset, None]


@dataclass(frozen=True)
class Chunk:
    """A piece of a body, as it passes. Where one ends says nothing: a word may be torn in two."""

    bytes: bytes
    #: Whether none follows. The last piece may be empty.
    end: bool


class Filter:
    """A filter. Hooks that a subclass does not have cost nothing."""

    def __init__(self, config: Any, setup: Setup) -> None:
        """Once for a configuration, which is JSON that was read. What it raises refuses the configuration."""

    def on_request(self, request: Request) -> Verdict:
        """The request's head has come."""

    def on_request_chunk(self, request: Request, chunk: Chunk) -> ChunkVerdict:
        """A piece of its body is there."""

    def on_response(self, response: Response) -> Verdict:
        """The response's head has come, whoever made it."""

    def on_response_chunk(self, response: Response, chunk: Chunk) -> ChunkVerdict:
        """A piece of its body is there."""

    def on_request_trailers(self, request: Request) -> None:
        """The request's trailers have come."""

    def on_response_trailers(self, response: Response) -> None:
        """The response's trailers have come."""

    def on_complete(self, outcome: Outcome) -> None:
        """The client has its answer, or has gone. Nobody waits for it."""

    def on_tick(self) -> None:
        """Every `setup.tick_every(…)`, once a process, in an instance of its own."""


#: Each hook by the word of the proxy, and the methods that make it wanted.
HOOKS = {
    "request": ["on_request"],
    "request-chunk": ["on_request_chunk"],
    "response": ["on_response"],
    "response-chunk": ["on_response_chunk"],
    "trailers": ["on_request_trailers", "on_response_trailers"],
    "complete": ["on_complete"],
    "tick": ["on_tick"],
}

#: The filter of the module that is built.
exported: type[Filter] | None = None

F = TypeVar("F", bound=type[Filter])


def has(kind: type[Filter], method: str) -> bool:
    """Whether a filter has a method of its own."""
    return getattr(kind, method) is not getattr(Filter, method)


def export(kind: F) -> F:
    """`@export` before the class makes it the filter of its module."""
    global exported
    if not issubclass(kind, Filter):
        raise TypeError(f"{kind.__name__} is no Filter")
    if not any(has(kind, method) for methods in HOOKS.values() for method in methods):
        raise TypeError(f"{kind.__name__} has no hook")
    if exported is not None and exported is not kind:
        raise TypeError(f"{exported.__name__} and {kind.__name__} are both exported; a module is one filter")
    exported = kind
    return kind
