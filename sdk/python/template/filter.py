"""Closes parts of a site: whoever asks for them is told to come back later. Every answer says that the filter was there."""

from __future__ import annotations

import json
from typing import Any

from tamis_sdk import ConfigError, Filter, Reply, Request, Response, Setup, Verdict, export, log


@export
class Closing(Filter):
    def __init__(self, config: dict[str, Any], setup: Setup) -> None:
        """Called before anything is served. What it raises never goes live; the path tells the operator where to look."""
        for key in config.keys() - {"closed", "retry-after"}:
            raise ConfigError(f"unknown key `{key}`", at=key)
        self.closed: list[str] = config.get("closed", [])
        self.retry_after: int = config.get("retry-after", 60)
        for at, path in enumerate(self.closed):
            if not isinstance(path, str) or not path.startswith("/"):
                raise ConfigError(f'expected a path that begins with "/", found {json.dumps(path)}', at=f"closed[{at}]")

    def on_request(self, request: Request) -> Verdict:
        """The head of a request is there: let it pass, change it, or answer it."""
        path = request.path
        for closed in self.closed:
            if path == closed or path.startswith(closed if closed.endswith("/") else f"{closed}/"):
                log.info(f"{request.connection.source} asked for {path}, which is closed")
                # Notes travel with the exchange: to later hooks, and into the access log.
                request.notes.set("closed", closed)
                return Reply(503, text="closed for now\n", headers={"retry-after": self.retry_after})
        return None

    def on_response(self, response: Response) -> Verdict:
        """The head of the answer is there."""
        response.headers["x-filter"] = "{name}"
        return None
