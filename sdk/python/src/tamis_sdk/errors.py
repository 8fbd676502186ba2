"""What can go wrong, each with a class of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ._host import host


class ConfigError(Exception):
    """What is wrong with a configuration, and where: `ConfigError("expected …", at="routes[3].path")`."""

    def __init__(self, message: str, at: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.at = at

    def __str__(self) -> str:
        return f"{self.at}: {self.message}" if self.at else self.message


class Refused(Exception):
    """The proxy does not take it, and says why. Nothing has changed."""


class _Because(Exception):
    what = ""

    def __init__(self, reason: Any) -> None:
        #: The word of the error in wit/.
        self.reason: str = reason.name.lower().replace("_", "-") if hasattr(reason, "name") else str(reason)
        super().__init__(f"{self.what}: {self.reason}")


class BodyError(_Because):
    """Why a body could not be read: `too-large`, `peer-gone` or `already-streamed`."""

    what = "the body cannot be read"


class HttpError(_Because):
    """Why a call has no answer: `timeout`, `not-allowed` and the others of wit/http-client.wit."""

    what = "the call has no answer"


class StoreError(_Because):
    """Why a store did not do it: `not-allowed`, `unavailable` or `too-large`."""

    what = "the store did not do it"


@contextmanager
def raising(failure: Callable[[Any], Exception]) -> Iterator[None]:
    """Raises the error value of a call of the proxy as this class."""
    try:
        yield
    except host.Err as error:
        raise failure(error.value) from None
