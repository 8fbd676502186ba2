"""Calls to other services. They wait, and read as if they did not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Union

from ._host import host
from ._values import Body, Fields, body, fields, ms
from .errors import HttpError, raising


@dataclass
class Call:
    """A request to a cluster that the filter's `allow` table grants."""

    cluster: str
    #: Path and query.
    target: str = "/"
    method: str = "GET"
    #: What it says as `host`; without it, the cluster's name.
    authority: str | None = None
    headers: Fields | None = None
    body: Body = b""
    trailers: Fields | None = None
    #: In seconds; without it, the proxy's limit.
    timeout: float | None = None

    def _outgoing(self) -> Any:
        return host.http_client.Outgoing(
            self.cluster,
            self.method,
            self.target,
            self.authority,
            fields(self.headers),
            body(self.body),
            fields(self.trailers),
            0 if self.timeout is None else ms(self.timeout),
        )


@dataclass
class Answer:
    """An answer, come whole. Any status is one."""

    status: int
    #: Names in lower case and values, in the order in which they came.
    fields: list[tuple[str, str]]
    body: bytes
    trailers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """All values, joined by `, `."""
        found = [value for known, value in self.fields if known == name.lower()]
        return ", ".join(found) if found else None

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


def _answer(incoming: Any) -> Answer:
    def plain(of: Any) -> list[tuple[str, str]]:
        return [(one.name, one.value.decode("latin-1")) for one in of]

    return Answer(incoming.status, plain(incoming.fields), incoming.body, plain(incoming.trailers))


def send(call: Call) -> Answer:
    """Sends it and waits for the answer. Raises `HttpError` where there is none."""
    with raising(HttpError):
        return _answer(host.http_client.send(call._outgoing()))


def get(cluster: str, target: str, **options: Any) -> Answer:
    """A GET."""
    return send(Call(cluster, target, **options))


def post(cluster: str, target: str, content: Body, **options: Any) -> Answer:
    """A POST."""
    return send(Call(cluster, target, "POST", body=content, **options))


def send_all(calls: Iterable[Call]) -> list[Union[Answer, HttpError]]:
    """All at once, side by side: for each an answer, or why there is none."""
    results = host.http_client.send_all([call._outgoing() for call in calls])
    return [HttpError(one.value) if isinstance(one, host.Err) else _answer(one.value) for one in results]
