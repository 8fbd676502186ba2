"""Request and response of the exchange in hand. They hold nothing: every property asks the proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ._host import host
from ._values import Body, Value, body, text, unpacked, value
from .errors import BodyError, Refused, raising
from .exchange import connection, destination, notes

#: All that a body may be, where a filter names no limit: the proxy has its own.
_ANY = 0xFFFFFFFF


class Headers:
    """The fields of a message. Names match in any case; what the proxy does not take raises `Refused`."""

    def __init__(self, of: str) -> None:
        self._of = of

    def get(self, name: str, default: str | None = None) -> str | None:
        """All values, joined by `, `. Where one of several decides about access, use `get_all`."""
        found = text(getattr(host, self._of).header(name))
        return default if found is None else found

    def get_all(self, name: str) -> list[str]:
        """Each value, in order."""
        return [one.decode("latin-1") for one in getattr(host, self._of).headers(name)]

    def add(self, name: str, to: Value) -> None:
        """One more value."""
        with raising(Refused):
            getattr(host, self._of).add_header(name, value(to))

    def items(self) -> Iterator[tuple[str, str]]:
        """All at once: cheaper than many calls of `get`."""
        return unpacked(getattr(host, self._of).all_headers())

    def __getitem__(self, name: str) -> str:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, to: Value) -> None:
        with raising(Refused):
            getattr(host, self._of).set_header(name, value(to))

    def __delitem__(self, name: str) -> None:
        getattr(host, self._of).remove_header(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.items()))


class Trailers:
    """There only in the hooks of trailers."""

    def __init__(self, of: str) -> None:
        self._of = of

    def get(self, name: str) -> str | None:
        """The trailer; None if there is none."""
        return text(getattr(host, self._of).trailer(name))

    def __setitem__(self, name: str, to: Value) -> None:
        with raising(Refused):
            getattr(host, self._of).set_trailer(name, value(to))


class Message:
    """What request and response have both."""

    _of = ""

    def __init__(self) -> None:
        self.headers = Headers(self._of)
        self.trailers = Trailers(self._of)
        self.connection = connection
        self.destination = destination
        self.notes = notes

    def read_body(self, limit: int = _ANY) -> bytes:
        """Waits for the whole body, at most `limit` bytes. It still goes on. Raises `BodyError`."""
        with raising(BodyError):
            return getattr(host, self._of).read_body(limit)

    def json(self, limit: int = _ANY) -> Any:
        """The body, read as JSON."""
        return json.loads(self.read_body(limit))

    def set_body(self, to: Body) -> None:
        """Sends this body in the place of the message's own."""
        getattr(host, self._of).set_body(body(to))


class Request(Message):
    """The request, as the filters before this one left it."""

    _of = "request"

    @property
    def method(self) -> str:
        """The method, as it was sent."""
        return host.request.method()

    @method.setter
    def method(self, method: str) -> None:
        with raising(Refused):
            host.request.set_method(method)

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return host.request.scheme()

    @property
    def authority(self) -> str:
        """Host and port, as the client named them; empty if it named none."""
        return host.request.authority()

    @authority.setter
    def authority(self, authority: str) -> None:
        with raising(Refused):
            host.request.set_authority(authority)

    @property
    def path(self) -> str:
        """The path without the query, escapes kept."""
        return host.request.path()

    @property
    def query(self) -> str | None:
        """What follows the first `?`; None if there is none."""
        return host.request.query()

    @property
    def target(self) -> str:
        """Path and query in one."""
        query = self.query
        return self.path if query is None else f"{self.path}?{query}"

    @target.setter
    def target(self, target: str) -> None:
        with raising(Refused):
            host.request.set_target(target)

    @property
    def id(self) -> str:
        """The same in logs and upstream."""
        return host.request.id()

    @property
    def deadline_left(self) -> float | None:
        """What is left of the time that the exchange may take, in seconds; None if it may take any."""
        left = host.request.deadline_left_ms()
        return None if left is None else left / 1000


class Response(Message):
    """The response: the upstream's, or one that the proxy or another filter made."""

    _of = "response"

    @property
    def status(self) -> int:
        """The status, 200 to 599."""
        return host.response.status()

    @status.setter
    def status(self, status: int) -> None:
        with raising(Refused):
            host.response.set_status(status)

    @property
    def origin(self) -> str:
        """`upstream`, or the word that the access log has for an answer of the proxy's or a filter's."""
        return host.response.origin()

    @property
    def request(self) -> Request:
        """The request that it answers."""
        return request


# One of each is enough: an instance runs for one exchange at a time.
request = Request()
response = Response()
