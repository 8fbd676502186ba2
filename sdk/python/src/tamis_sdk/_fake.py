"""The interfaces of wit/ for tests, with the proxy's rules for methods, fields and statuses. `testing` puts them together."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from enum import Enum
from types import SimpleNamespace
from typing import Any, Union

from ._values import Body, Fields, body, value

FRAMING = {"connection", "content-length", "transfer-encoding", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"}
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: What a test says to a call of the filter's own: status, headers and body of an answer, or the word of an error.
Calls = Callable[[Any], Union[Mapping[str, Any], str]]


class Err(Exception):
    """An error value of a function of the proxy."""

    def __init__(self, value: Any) -> None:
        super().__init__(str(value))
        self.value = value


class Field(SimpleNamespace):
    def __init__(self, name: str, value: bytes) -> None:
        super().__init__(name=name, value=value)


class Outgoing(SimpleNamespace):
    def __init__(self, *of: Any) -> None:
        names = ("cluster", "method", "target", "authority", "fields", "body", "trailers", "timeout_ms")
        super().__init__(**dict(zip(names, of)))


def checked(name: str, of: bytes) -> str:
    lower = name.lower()
    if not TOKEN.fullmatch(name):
        raise Err(f"expected the name of a field, found {json.dumps(name)}")
    if lower in FRAMING:
        raise Err(f"`{lower}` belongs to the framing, which is the proxy's")
    if lower == "host":
        raise Err("`host` is set by the authority")
    if any(byte in b"\0\n\r" for byte in of):
        raise Err(f"the value of `{lower}` has a character that HTTP does not allow")
    return lower


def pairs(of: Fields | None) -> list[tuple[str, bytes]]:
    given = [] if of is None else of.items() if isinstance(of, Mapping) else of
    return [(name.lower(), value(one)) for name, all in given for one in (all if isinstance(all, (list, tuple)) else [all])]


class Message:
    """A message as the host keeps it: fields in order, a body. Its methods are functions of the interface."""

    def __init__(self, headers: Fields | None = None, content: Body = b"", trailers: Fields | None = None) -> None:
        self.fields = pairs(headers)
        self.content = body(content)
        self._trailers = dict(pairs(trailers))

    def header(self, name: str) -> bytes | None:
        found = self.headers(name)
        return (b"; " if name.lower() == "cookie" else b", ").join(found) if found else None

    def headers(self, name: str) -> list[bytes]:
        return [of for known, of in self.fields if known == name.lower()]

    def all_headers(self) -> bytes:
        parts = [part for name, of in self.fields for part in (name.encode(), of)]
        return struct.pack("<I", len(self.fields)) + b"".join(struct.pack("<I", len(part)) + part for part in parts)

    def set_header(self, name: str, to: bytes) -> None:
        lower = checked(name, to)
        self.fields = [(known, of) for known, of in self.fields if known != lower] + [(lower, to)]

    def add_header(self, name: str, to: bytes) -> None:
        self.fields.append((checked(name, to), to))

    def remove_header(self, name: str) -> None:
        if name.lower() not in FRAMING:
            self.fields = [(known, of) for known, of in self.fields if known != name.lower()]

    def trailer(self, name: str) -> bytes | None:
        return self._trailers.get(name.lower())

    def set_trailer(self, name: str, to: bytes) -> None:
        self._trailers[checked(name, to)] = to

    def read_body(self, limit: int) -> bytes:
        if len(self.content) > limit:
            raise Err("too-large")
        return self.content

    def set_body(self, to: bytes) -> None:
        self.content = to


class Request(Message):
    def __init__(self, method: str, target: str, *rest: Any) -> None:
        super().__init__(*rest)
        self._method, self._target, self._authority = method, target, "localhost"

    def method(self) -> str:
        return self._method

    def scheme(self) -> str:
        return "http"

    def authority(self) -> str:
        return self._authority

    def path(self) -> str:
        return self._target.partition("?")[0]

    def query(self) -> str | None:
        _, mark, query = self._target.partition("?")
        return query if mark else None

    def set_method(self, to: str) -> None:
        if not TOKEN.fullmatch(to) or to == "CONNECT":
            raise Err(f"expected a method, found {json.dumps(to)}")
        self._method = to

    def set_authority(self, to: str) -> None:
        if not to or re.search(r"\s", to):
            raise Err(f"expected a host, found {json.dumps(to)}")
        self._authority = to

    def set_target(self, to: str) -> None:
        if not to.startswith("/"):
            raise Err(f"expected a path, found {json.dumps(to)}")
        self._target = to

    def id(self) -> str:
        return "0" * 31 + "1"

    def deadline_left_ms(self) -> int | None:
        return None


class Answer(Message):
    def __init__(self, status: int = 200, *rest: Any) -> None:
        super().__init__(*rest)
        self._status = status

    def status(self) -> int:
        return self._status

    def set_status(self, to: int) -> None:
        if not 200 <= to <= 599:
            raise Err(f"expected a status from 200 to 599, found {to}")
        self._status = to

    def origin(self) -> str:
        return "upstream"


class Replies:
    """What the filter answers itself."""

    def __init__(self) -> None:
        self.last: Answer | None = None

    def set(self, status: int, fields: list[Any], content: bytes) -> None:
        made = Answer()
        made.set_status(status)
        for field in fields:
            made.add_header(field.name, field.value)
        made.set_body(content)
        self.last = made

    def set_grpc(self, status: int, message: str) -> None:
        fields = {"content-type": "application/grpc", "grpc-status": status, "grpc-message": message}
        self.last = Answer(200, fields)


class Store:
    """All stores are granted, and keep what they have for as long as the filter is configured. Times to live do not pass."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], bytes] = {}

    def get(self, store: str, key: str) -> bytes | None:
        return self.values.get((store, key))

    def set(self, store: str, key: str, to: bytes, _: int | None) -> None:
        self.values[store, key] = to

    def compare_and_set(self, store: str, key: str, expected: bytes | None, to: bytes, _: int | None) -> bool:
        same = self.values.get((store, key)) == expected
        if same:
            self.values[store, key] = to
        return same

    def delete(self, store: str, key: str) -> None:
        self.values.pop((store, key), None)

    def increment(self, store: str, key: str, by: int, _: int | None) -> int:
        try:
            total = int(self.values.get((store, key), b"0")) + by
        except ValueError:
            raise Err("unavailable") from None
        self.values[store, key] = str(total).encode()
        return total


class Metrics:
    """Numbers are added up by name and the values of labels."""

    Kind = Enum("Kind", ["COUNTER", "GAUGE", "HISTOGRAM"])

    def __init__(self) -> None:
        self._declared: list[tuple[str, Any]] = []
        self.seen: dict[tuple[str, ...], float] = {}

    def declare(self, name: str, _help: str, kind: Any, _labels: list[str]) -> int:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
            raise Err(f"`{name}` is no name for a metric")
        self._declared.append((name, kind))
        return len(self._declared) - 1

    def observe(self, id: int, labels: list[str], number: float) -> None:
        name, kind = self._declared[id]
        before = 0.0 if kind is self.Kind.GAUGE else self.seen.get((name, *labels), 0.0)
        self.seen[name, *labels] = before + (1 if kind is self.Kind.HISTOGRAM else number)


class Log:
    Severity = Enum("Severity", ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"])

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def enabled(self, _: Any) -> bool:
        return True

    def write(self, severity: Any, message: str) -> None:
        self.lines.append((severity.name.lower(), message))


class Absent:
    """An interface of which a test has nothing to say."""

    def __init__(self, interface: str) -> None:
        self._interface = interface

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(f"{self._interface} has no {name} in tests: `tamis filter test` runs the module in the real host")


def connection() -> Any:
    known = {
        "source_address": "192.0.2.1",
        "peer_address": "192.0.2.1:50000",
        "local_address": "127.0.0.1:8080",
        "original_destination": None,
        "trusted": False,
        "listener": "edge",
        "protocol": "http/1.1",
        "tls_version": None,
        "server_name": None,
        "client_identities": [],
        "client_fingerprint": None,
    }
    return SimpleNamespace(**{name: (lambda of=of: of) for name, of in known.items()})


class Destination:
    """Keeps what is said of the way; every name is known."""

    def __init__(self, said: dict[str, Any]) -> None:
        self._said = said

    def cluster(self) -> str:
        return self._said["cluster"]

    def set_cluster(self, to: str) -> None:
        self._said["cluster"] = to

    def route(self) -> str | None:
        return self._said.get("route")

    def set_route(self, to: str) -> None:
        self._said["route"] = to

    def mirror(self, *copy: Any) -> int:
        copies = self._said.setdefault("mirror", [])
        copies.append(copy)
        return len(copies) - 1

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *of: self._said.__setitem__(name, of[0] if len(of) == 1 else of)


class Client:
    """Calls to other services, which the test answers."""

    Outgoing = Outgoing

    def __init__(self, calls: Calls | None) -> None:
        self._calls = calls

    def send(self, call: Any) -> Any:
        if self._calls is None:
            raise NotImplementedError(f"the filter calls `{call.cluster}`: give the exchange `calls` that answers")
        said = self._calls(call)
        if isinstance(said, str):
            raise Err(said)
        made = Message(said.get("headers"), said.get("body", b""), said.get("trailers"))
        fields = [Field(name, of) for name, of in made.fields]
        trailers = [Field(name, of) for name, of in made._trailers.items()]
        return SimpleNamespace(status=said.get("status", 200), fields=fields, body=made.content, trailers=trailers)

    def send_all(self, calls: list[Any]) -> list[Any]:
        def one(call: Any) -> Any:
            try:
                return SimpleNamespace(value=self.send(call))
            except Err as error:
                return error

        return [one(call) for call in calls]
