"""A host for tests: enough of the proxy to run the hooks of one exchange. The module in the real host is what `tamis filter test` runs.

    from tamis_sdk.testing import configure
    from filter import Gate

    gate = configure(Gate, {"key": "sesame"})
    assert gate.exchange("/").response.status == 403
    assert gate.exchange("/", headers={"x-key": "sesame"}).upstream is not None
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from . import _fake
from . import filter as _filter
from . import log as _log
from ._host import bind
from ._values import Body, Fields, body
from .message import request as _request
from .message import response as _response
from .reply import Reply
from .setup import Setup

__all__ = ["Configured", "Exchanged", "Seen", "configure"]


class Seen:
    """A message as it was seen in the end."""

    def __init__(self, message: _fake.Message, **more: Any) -> None:
        self._fields = list(message.fields)
        self.body: bytes = message.content
        # `status` of an answer; `method`, `target`, `authority` and `cluster` of a request.
        self.__dict__.update(more)

    def header(self, name: str) -> str | None:
        """All values, joined by `, `; None if there is none."""
        found = self.headers(name)
        return ", ".join(found) if found else None

    def headers(self, name: str) -> list[str]:
        """Each value of the name."""
        return [of.decode("latin-1") for known, of in self._fields if known == name.lower()]

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Exchanged:
    """One exchange, as those who take part saw it."""

    def __init__(self, upstream: Seen | None, response: Seen | None, notes: dict[str, str], destination: dict[str, Any]) -> None:
        #: What reached the upstream; None if nothing did.
        self.upstream = upstream
        #: What the client got; None after a reset.
        self.response = response
        self.notes = notes
        #: What the filter said of the way: by the words of the interface, `route` or `set_retry`.
        self.destination = destination


class Configured:
    """A filter that accepted its configuration."""

    def __init__(self, kind: type[_filter.Filter], config: Any, inputs: Mapping[str, Body]) -> None:
        self._store, self._metrics, self._log = _fake.Store(), _fake.Metrics(), _fake.Log()
        self._wanted: list[str] = []
        self._bind()
        # A copy by way of JSON, as a configuration comes.
        told = Setup([SimpleNamespace(name=name, content=body(content)) for name, content in inputs.items()])
        self.filter = kind(json.loads(json.dumps(config)), told)
        if not self._wanted:
            hooks = _filter.HOOKS.items()
            self._wanted = [word for word, methods in hooks if any(_filter.has(kind, method) for method in methods)]

    @property
    def wanted(self) -> list[str]:
        """The hooks that are called, by their words."""
        return list(self._wanted)

    @property
    def stores(self) -> dict[tuple[str, str], bytes]:
        """What is in the stores, by store and key; a test may put something there."""
        return self._store.values

    @property
    def metrics(self) -> dict[tuple[str, ...], float]:
        """By name and the values of labels: sums of counters, the last value of gauges, how often histograms counted."""
        return self._metrics.seen

    @property
    def log(self) -> list[tuple[str, str]]:
        """Lines by severity and text."""
        return self._log.lines

    def _want(self, hook: str) -> None:
        if hook not in _filter.HOOKS:
            raise _fake.Err(f"expected one of {', '.join(_filter.HOOKS)}, found `{hook}`")
        self._wanted.append(hook)

    def _bind(self, **exchange: Any) -> None:
        names = ("request", "response", "connection", "destination", "notes", "reply", "http_client", "outcome", "quota", "chunk")
        setup = SimpleNamespace(want=self._want, keep_state=lambda: None, tick_every_ms=lambda _: None)
        started = time.monotonic_ns()
        clock = SimpleNamespace(now_ns=time.time_ns, monotonic_ns=lambda: time.monotonic_ns() - started, sleep_ms=lambda _: None)
        entropy = SimpleNamespace(next=lambda: secrets.randbits(64), bytes=secrets.token_bytes)
        types = SimpleNamespace(Field=_fake.Field)
        bind(**{name: _fake.Absent(name) for name in names})
        bind(Err=_fake.Err, types=types, setup=setup, clock=clock, entropy=entropy, store=self._store, metrics=self._metrics)
        bind(log=self._log, **exchange)

    def exchange(
        self,
        target: str = "/",
        method: str = "GET",
        *,
        headers: Fields | None = None,
        body: Body = b"",
        answer: Mapping[str, Any] | None = None,
        calls: _fake.Calls | None = None,
    ) -> Exchanged:
        """Puts one exchange through the request and the response hook. `answer` has `status`, `headers` and `body` of the
        upstream's; `calls` answers the filter's own calls with the same, or with the word of an error."""
        request, replies, notes = _fake.Request(method, target, headers, body), _fake.Replies(), dict[str, str]()
        said: dict[str, Any] = {"cluster": "origin"}
        around = {
            "request": request,
            "reply": replies,
            "notes": SimpleNamespace(get=notes.get, set=notes.__setitem__),
            "connection": _fake.connection(),
            "destination": _fake.Destination(said),
            "http_client": _fake.Client(calls),
        }
        self._bind(**around)
        upstream = response = None
        verdict = self._hook("request", lambda: self.filter.on_request(_request))
        if verdict is None:
            cluster = said["cluster"]
            upstream = Seen(request, method=request.method(), target=request._target, authority=request.authority(), cluster=cluster)
            given = dict(answer or {})
            response = _fake.Answer(given.get("status", 200), given.get("headers"), given.get("body", b""))
            self._bind(**around, response=response)
            verdict = self._hook("response", lambda: self.filter.on_response(_response))
        if isinstance(verdict, Reply):
            verdict.check()
            response = replies.last
        elif verdict is _filter.RESET:
            response = None
        seen = None if response is None else Seen(response, status=response.status())
        return Exchanged(upstream, seen, notes, said)

    def _hook(self, word: str, run: Callable[[], Any]) -> Any:
        if word not in self._wanted:
            return None
        # What the filter writes by `logging` is the proxy's to write.
        root, handler = logging.getLogger(), _log.Handler()
        root.addHandler(handler)
        try:
            verdict = run()
        finally:
            root.removeHandler(handler)
        if verdict is not None and verdict is not _filter.RESET and not isinstance(verdict, Reply):
            raise TypeError(f"expected None, a Reply or RESET from the hook, found {type(verdict).__name__}")
        return verdict


def configure(kind: type[_filter.Filter], config: Any = None, inputs: Mapping[str, Body] | None = None) -> Configured:
    """Configures a filter; what `__init__` raises refuses it, as it does in the proxy."""
    return Configured(kind, {} if config is None else config, inputs or {})
