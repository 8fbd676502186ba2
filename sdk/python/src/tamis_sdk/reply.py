"""An answer of the filter's own."""

from __future__ import annotations

import json as _json
from typing import Any

from ._host import host
from ._values import Body, Fields, Value, body, fields, value
from .errors import Refused, raising

_NOTHING = object()


class Reply:
    """An answer, which a hook returns: `Reply(403, text="no key, no entry")`."""

    def __init__(
        self,
        status: int,
        *,
        headers: Fields | None = None,
        body: Body = b"",
        text: str | None = None,
        json: Any = _NOTHING,
    ) -> None:
        self.status = status
        self._fields = [] if headers is None else list(headers.items() if hasattr(headers, "items") else headers)
        self._body = body
        self._grpc: str | None = None
        if text is not None:
            self._fields.append(("content-type", "text/plain; charset=utf-8"))
            self._body = text
        elif json is not _NOTHING:
            self._fields.append(("content-type", "application/json"))
            self._body = _json.dumps(json)

    @staticmethod
    def grpc(status: int, message: str) -> Reply:
        """HTTP 200, with status and message where gRPC clients look for them."""
        reply = Reply(status)
        reply._grpc = message
        return reply

    def header(self, name: str, to: Value) -> Reply:
        """One more field."""
        self._fields.append((name, value(to)))
        return self

    def check(self) -> None:
        """Raises `Refused` if the proxy does not take it."""
        if self._grpc is not None:
            host.reply.set_grpc(self.status, self._grpc)
            return
        with raising(Refused):
            host.reply.set(self.status, fields(self._fields), body(self._body))
