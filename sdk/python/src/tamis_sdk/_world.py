"""The world `http-filter`, made of the filter that is exported: what the module exports. Only there when it is built."""

from __future__ import annotations

import json
import logging
import random
from typing import Any

from componentize_py_types import Err
from wit_world.imports import (
    chunk,
    clock,
    connection,
    destination,
    entropy,
    http_client,
    log,
    metrics,
    notes,
    outcome,
    quota,
    reply,
    request,
    response,
    setup,
    store,
    types,
)

from . import filter as _filter
from . import log as _log
from ._host import bind
from ._values import body
from .errors import ConfigError, Refused
from .exchange import Outcome
from .message import request as _request
from .message import response as _response
from .reply import Reply
from .setup import Setup

bind(
    Err=Err,
    chunk=chunk,
    clock=clock,
    connection=connection,
    destination=destination,
    entropy=entropy,
    http_client=http_client,
    log=log,
    metrics=metrics,
    notes=notes,
    outcome=outcome,
    quota=quota,
    reply=reply,
    request=request,
    response=response,
    setup=setup,
    store=store,
    types=types,
)

_instance: Any = None


def _verdict(returned: Any) -> types.Verdict:
    if returned is None:
        return types.Verdict.NEXT
    if returned is _filter.RESET:
        return types.Verdict.RESET
    if isinstance(returned, Reply):
        returned.check()
        return types.Verdict.REPLIED
    raise TypeError(f"expected None, a Reply or RESET from the hook, found {type(returned).__name__}")


def _chunk_verdict(returned: Any) -> types.ChunkVerdict:
    if returned is None:
        return types.ChunkVerdict.KEEP
    if returned is _filter.RESET:
        return types.ChunkVerdict.RESET
    chunk.replace(body(returned))
    return types.ChunkVerdict.REPLACED


class Configure:
    def configure(self, config: str, inputs: list[Any]) -> None:
        global _instance
        kind = _filter.exported
        if kind is None:
            raise Err("the module exports no filter: `@export` before the class does")
        # The state of these was laid down when the module was built.
        random.seed(entropy.bytes(32))
        logging.basicConfig(handlers=[_log.Handler()], level=logging.DEBUG, force=True)
        told = Setup(inputs)
        try:
            _instance = kind(json.loads(config), told)
        except (ConfigError, Refused) as error:
            raise Err(str(error)) from None
        except Exception as error:
            logging.exception("configure")
            raise Err(f"{type(error).__name__}: {error}") from None
        if not told._chosen:
            for word, methods in _filter.HOOKS.items():
                if any(_filter.has(kind, method) for method in methods):
                    setup.want(word)


class RequestHook:
    def on_request(self) -> types.Verdict:
        return _verdict(_instance.on_request(_request))


class RequestChunkHook:
    def on_request_chunk(self, bytes: bytes, end: bool) -> types.ChunkVerdict:
        return _chunk_verdict(_instance.on_request_chunk(_request, _filter.Chunk(bytes, end)))


class ResponseHook:
    def on_response(self) -> types.Verdict:
        return _verdict(_instance.on_response(_response))


class ResponseChunkHook:
    def on_response_chunk(self, bytes: bytes, end: bool) -> types.ChunkVerdict:
        return _chunk_verdict(_instance.on_response_chunk(_response, _filter.Chunk(bytes, end)))


class TrailersHook:
    def on_request_trailers(self) -> None:
        _instance.on_request_trailers(_request)

    def on_response_trailers(self) -> None:
        _instance.on_response_trailers(_response)


class CompleteHook:
    def on_complete(self) -> None:
        _instance.on_complete(Outcome(_request, _response))


class TickHook:
    def on_tick(self) -> None:
        _instance.on_tick()
