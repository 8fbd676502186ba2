"""Write a filter for Tamis: a class whose methods are the hooks.

    from tamis_sdk import Filter, Reply, Request, Verdict, export

    @export
    class Gate(Filter):
        def __init__(self, config, setup):
            self.key = config["key"]

        def on_request(self, request: Request) -> Verdict:
            if request.headers.get("x-key") != self.key:
                return Reply(403, text="no key, no entry\\n")
"""

from . import clock, entropy, http, log, quota
from .errors import BodyError, ConfigError, HttpError, Refused, StoreError
from .exchange import Connection, Destination, Mirrored, Notes, Outcome
from .filter import RESET, Chunk, ChunkVerdict, Filter, Verdict, export
from .message import Headers, Request, Response, Trailers
from .reply import Reply
from .setup import Counter, Gauge, Histogram, Setup
from .store import Store

__all__ = [
    "RESET",
    "BodyError",
    "Chunk",
    "ChunkVerdict",
    "ConfigError",
    "Connection",
    "Counter",
    "Destination",
    "Filter",
    "Gauge",
    "Headers",
    "Histogram",
    "HttpError",
    "Mirrored",
    "Notes",
    "Outcome",
    "Refused",
    "Reply",
    "Request",
    "Response",
    "Setup",
    "Store",
    "StoreError",
    "Trailers",
    "Verdict",
    "clock",
    "entropy",
    "export",
    "http",
    "log",
    "quota",
]
