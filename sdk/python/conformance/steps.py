"""The conformance guest of sdk/CONFORMANCE.md: a request names the steps that each hook takes, the answer tells what each gave."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from tamis_sdk import (
    RESET,
    BodyError,
    Chunk,
    ChunkVerdict,
    ConfigError,
    Filter,
    HttpError,
    Outcome,
    Refused,
    Reply,
    Request,
    Response,
    Setup,
    Store,
    StoreError,
    Verdict,
    clock,
    entropy,
    export,
    http,
    log,
    quota,
)

RESULTS = Store("results")


def decoded(word: str) -> bytes:
    if word == "%":
        return b""
    first, *parts = word.split("%")
    return first.encode("latin-1") + b"".join(bytes([int(part[:2], 16)]) + part[2:].encode("latin-1") for part in parts)


def encoded(content: bytes) -> str:
    return "".join(chr(one) if 0x20 < one < 0x7F and one != 0x25 else f"%{one:02X}" for one in content)


def text(content: str) -> str:
    return "=" + encoded(content.encode())


def of_bytes(content: bytes) -> str:
    return "=" + encoded(content)


def field(content: str) -> str:
    """The value of a field, in which a character is a byte."""
    return "=" + encoded(content.encode("latin-1"))


def some(content: Any, written: Callable[[Any], str]) -> str:
    return "none" if content is None else written(content)


def listed(words: Iterable[str]) -> str:
    return " ".join(words) or "none"


def truth(content: bool) -> str:
    return str(content).lower()


def fields(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [name + field(value) for name, value in pairs if name.startswith("x-")]


def done(action: Callable[[], Any]) -> str:
    """`ok`, what it gave, or why not."""
    try:
        given = action()
    except Refused as error:
        return "!" + encoded(str(error).encode())
    except (BodyError, StoreError, HttpError) as error:
        return "!" + error.reason
    return "ok" if given is None else truth(given) if isinstance(given, bool) else str(given)


class Words:
    """The words of a step."""

    def __init__(self, step: str) -> None:
        self.raw = step.split(" ")

    def bytes(self, at: int) -> bytes:
        return decoded(self.raw[at])

    def text(self, at: int) -> str:
        return self.bytes(at).decode()

    def number(self, at: int) -> int:
        return int(self.text(at))

    def some(self, at: int) -> str | None:
        return None if self.raw[at] == "-" else self.text(at)

    def seconds(self, at: int) -> float | None:
        return None if self.raw[at] == "-" else self.number(at) / 1000

    def rest(self, at: int) -> list[str]:
        return [self.text(one) for one in range(at, len(self.raw))]

    def pairs(self, at: int) -> list[tuple[str, Any]]:
        return [(self.text(one), self.bytes(one + 1)) for one in range(at, len(self.raw), 2)]


class Taken:
    """What the steps of a hook came to."""

    def __init__(self, steps: Steps, request: Request, response: Response | None, outcome: Outcome | None) -> None:
        self.steps, self.request, self.response, self.outcome = steps, request, response, outcome
        self.lines: list[str] = []
        self.reply: Reply | None = None
        self.reset = False

    def take(self, step: str) -> None:
        words = Words(step)
        subject, _, name = words.text(0).partition(".")
        method = getattr(self, f"of_{subject}", None) if name else None
        result = self.own(words) if method is None else method(name, words)
        self.lines.append(f"{words.text(0)} {result}")

    def verdict(self) -> Verdict:
        if self.reset:
            return RESET
        if self.reply is not None:
            for line in lines(self.request):
                self.reply.header("x-did", line)
        return self.reply

    def own(self, words: Words) -> str:
        match words.text(0):
            case "config":
                return text(self.steps.greeting)
            case "input":
                return some(self.steps.inputs.get(words.text(1)), of_bytes)
            case "remember":
                self.steps.remembered = words.text(1)
                return "ok"
            case "recall":
                return some(self.steps.remembered, text)
            case "reply":
                return self.replied(Reply(words.number(1), body=words.bytes(2), headers=words.pairs(3)))
            case "reply-grpc":
                return self.replied(Reply.grpc(words.number(1), words.text(2)))
            case "reset":
                self.reset = True
                return "ok"
            case "throw":
                raise RuntimeError(words.text(1))
            case other:
                raise ValueError(f"no such step: {other}")

    def replied(self, reply: Reply) -> str:
        """A reply that is refused is forgotten."""
        checked = done(reply.check)
        if checked == "ok":
            self.reply = reply
        return checked

    def of_request(self, name: str, words: Words) -> str:
        request = self.request
        match name:
            case "method":
                return text(request.method)
            case "scheme":
                return text(request.scheme)
            case "authority":
                return text(request.authority)
            case "path":
                return text(request.path)
            case "query":
                return some(request.query, text)
            case "id":
                return text(request.id)
            case "deadline-left":
                return some(request.deadline_left, lambda left: str(round(left * 1000)))
            case "set-method":
                return done(lambda: setattr(request, "method", words.text(1)))
            case "set-authority":
                return done(lambda: setattr(request, "authority", words.text(1)))
            case "set-target":
                return done(lambda: setattr(request, "target", words.text(1)))
        return self.of_message(request, name, words)

    def of_response(self, name: str, words: Words) -> str:
        response = self.response
        if response is None:
            raise ValueError("no response in this hook")
        match name:
            case "status":
                return str(response.status)
            case "set-status":
                return done(lambda: setattr(response, "status", words.number(1)))
            case "origin":
                return text(response.origin)
        return self.of_message(response, name, words)

    def of_message(self, message: Request | Response, name: str, words: Words) -> str:
        match name:
            case "header":
                return some(message.headers.get(words.text(1)), field)
            case "headers":
                return listed(map(field, message.headers.get_all(words.text(1))))
            case "all-headers":
                return listed(fields(message.headers.items()))
            case "set-header":
                return done(lambda: message.headers.__setitem__(words.text(1), words.bytes(2)))
            case "add-header":
                return done(lambda: message.headers.add(words.text(1), words.bytes(2)))
            case "remove-header":
                return done(lambda: message.headers.__delitem__(words.text(1)))
            case "trailer":
                return some(message.trailers.get(words.text(1)), field)
            case "set-trailer":
                return done(lambda: message.trailers.__setitem__(words.text(1), words.bytes(2)))
            case "read-body":
                return done(lambda: of_bytes(message.read_body(words.number(1))))
            case "read-body-length":
                return done(lambda: len(message.read_body(words.number(1))))
            case "set-body":
                return done(lambda: message.set_body(words.bytes(1)))
            case other:
                raise ValueError(f"no such step: {other}")

    def of_outcome(self, name: str, words: Words) -> str:
        outcome = self.outcome
        if outcome is None:
            raise ValueError("no outcome in this hook")
        match name:
            case "status":
                return str(outcome.status or 0)
            case "request-bytes":
                return str(outcome.request_bytes)
            case "response-bytes":
                return str(outcome.response_bytes)
            case "duration":
                return str(round(outcome.duration * 1_000_000))
            case "upstream":
                return some(outcome.upstream, text)
            case "attempts":
                return str(outcome.attempts)
            case "failure":
                return some(outcome.failure, text)
            case "mirrored":
                return some(outcome.mirrored(words.number(1)), lambda copy: str(copy.status or 0))
            case "mirrored-headers":
                return listed(map(field, outcome.mirrored_headers(words.number(1), words.text(2))))
            case other:
                raise ValueError(f"no such step: {other}")

    def of_connection(self, name: str, _: Words) -> str:
        connection = self.request.connection
        match name:
            case "source-address":
                return text(connection.source)
            case "peer-address":
                return text(connection.peer)
            case "local-address":
                return text(connection.local)
            case "original-destination":
                return some(connection.original_destination, text)
            case "trusted":
                return truth(connection.trusted)
            case "listener":
                return text(connection.listener)
            case "protocol":
                return text(connection.protocol)
            case "tls-version":
                return some(connection.tls_version, text)
            case "server-name":
                return some(connection.server_name, text)
            case "client-identities":
                return listed(map(text, connection.client_identities))
            case "client-fingerprint":
                return some(connection.client_fingerprint, text)
            case other:
                raise ValueError(f"no such step: {other}")

    def of_destination(self, name: str, words: Words) -> str:
        destination = self.request.destination
        match name:
            case "cluster":
                return some(destination.cluster, text)
            case "set-cluster":
                return done(lambda: setattr(destination, "cluster", words.text(1)))
            case "set-fallback":
                return done(lambda: destination.set_fallback(words.text(1)))
            case "set-endpoint":
                return done(lambda: destination.set_endpoint(words.text(1)))
            case "route":
                return some(destination.route, text)
            case "set-route":
                return done(lambda: setattr(destination, "route", words.text(1)))
            case "set-chain":
                return done(lambda: destination.set_chain(words.text(1)))
            case "set-subset":
                return done(lambda: destination.set_subset({name: value.decode() for name, value in words.pairs(1)}))
            case "set-hash-key":
                return done(lambda: destination.set_hash_key(words.bytes(1)))
            case "set-timeout":
                return done(lambda: destination.set_timeout(words.seconds(1)))
            case "set-retry":
                return done(lambda: destination.set_retry(words.number(1), words.rest(3), words.seconds(2)))
            case "mirror":
                return done(lambda: destination.mirror(words.text(1), words.pairs(3), words.number(2)))
            case "set-response-rate":
                return done(lambda: destination.set_response_rate(None if words.some(1) is None else words.number(1)))
            case other:
                raise ValueError(f"no such step: {other}")

    def of_notes(self, name: str, words: Words) -> str:
        notes = self.request.notes
        if name == "get":
            return some(notes.get(words.text(1)), text)
        return done(lambda: notes.set(words.text(1), words.text(2)))

    def of_http(self, name: str, words: Words) -> str:
        cluster = words.text(1)
        if name == "send-all":
            answers = http.send_all(http.Call(cluster, target) for target in words.rest(2))
            return listed(f"!{one.reason}" if isinstance(one, HttpError) else str(one.status) for one in answers)

        if name == "send-trailers":

            def trailed() -> str:
                call = http.Call(cluster, words.text(2), "POST", body=words.bytes(3), trailers=words.pairs(4))
                answer = http.send(call)
                return " ".join([str(answer.status), *fields(answer.trailers)])

            return done(trailed)

        def sent() -> str:
            call = http.Call(
                cluster,
                words.text(3),
                words.text(2),
                timeout=words.seconds(4),
                authority=words.some(5),
                body=words.bytes(6),
                headers=words.pairs(7),
            )
            answer = http.send(call)
            return " ".join([str(answer.status), *fields(answer.fields), of_bytes(answer.body)])

        return done(sent)

    def of_store(self, name: str, words: Words) -> str:
        store, key = Store(words.text(1)), words.text(2)
        match name:
            case "get":
                return done(lambda: some(store.get(key), of_bytes))
            case "set":
                return done(lambda: store.set(key, words.bytes(3), words.seconds(4)))
            case "compare-and-set":
                expected = None if words.some(3) is None else words.bytes(3)
                return done(lambda: store.compare_and_set(key, expected, words.bytes(4), words.seconds(5)))
            case "delete":
                return done(lambda: store.delete(key))
            case "increment":
                return done(lambda: store.increment(key, words.number(3), words.seconds(4)))
            case other:
                raise ValueError(f"no such step: {other}")

    def of_quota(self, _: str, words: Words) -> str:
        def ask(at: int) -> quota.Ask:
            kind: Any = words.text(at + 1)
            window = words.seconds(at + 3) or 0
            return quota.Ask(words.text(at), kind, words.number(at + 2), window, words.number(at + 4), words.number(at + 5))

        def decided(one: quota.Decision) -> str:
            allowed = "allowed" if one.allowed else "refused"
            return f"{allowed}/{one.remaining}/{'later' if one.retry_after else 'now'}"

        asks = [ask(at) for at in range(2, len(words.raw), 6)]
        return done(lambda: listed(map(decided, quota.take(Store(words.text(1)), *asks))))

    def of_metrics(self, name: str, words: Words) -> str:
        match name:
            case "count":
                return done(lambda: self.steps.counted.add(float(words.text(2)), kind=words.text(1)))
            case "level":
                return done(lambda: self.steps.level.set(float(words.text(1))))
            case "size":
                return done(lambda: self.steps.size.observe(float(words.text(1))))
            case other:
                raise ValueError(f"no such step: {other}")

    def of_log(self, name: str, words: Words) -> str:
        severity: Any = words.text(1)
        if name == "enabled":
            return truth(log.enabled(severity))
        return done(lambda: log.write(severity, words.text(2)))

    def of_clock(self, name: str, words: Words) -> str:
        match name:
            case "now":
                return str(clock.now_ns())
            case "monotonic":
                return str(clock.monotonic_ns())
            case _:
                return done(lambda: clock.sleep(words.number(1) / 1000))

    def of_entropy(self, name: str, words: Words) -> str:
        return str(entropy.next()) if name == "next" else of_bytes(entropy.bytes(words.number(1)))


def lines(request: Request) -> list[str]:
    """Those of all hooks so far."""
    return (request.notes.get("did") or "").splitlines()


def chunk_verdict(request: Request, name: str, chunk: Chunk) -> ChunkVerdict:
    step = request.headers.get(name)
    if step is None:
        return None
    words = Words(step)
    match words.text(0):
        case "keep":
            return None
        case "upper":
            return chunk.bytes.upper()
        case "drop":
            return b""
        case "append":
            return chunk.bytes + words.bytes(1) if chunk.end else None
        case "reset":
            return RESET
        case other:
            raise ValueError(f"no step of a chunk hook: {other}")


@export
class Steps(Filter):
    def __init__(self, config: dict[str, Any], setup: Setup) -> None:
        if "throw" in config:
            raise RuntimeError(config["throw"])
        for at, route in enumerate(config.get("routes", [])):
            if not route["path"].startswith("/"):
                found = json.dumps(route["path"])
                raise ConfigError(f'expected a path that begins with "/", found {found}', at=f"routes[{at}].path")
        for at, hook in enumerate(config.get("want", [])):
            try:
                setup.want(hook)
            except Refused as error:
                raise ConfigError(str(error), at=f"want[{at}]") from None
        if config.get("keep-state"):
            setup.keep_state()
        setup.tick_every(config.get("tick-every-ms", 0) / 1000)
        if "counter" in config:
            try:
                setup.counter(config["counter"], "Declared by the configuration")
            except Refused as error:
                raise ConfigError(str(error), at="counter") from None
        self.greeting: str = config.get("greeting", "")
        self.inputs = setup.inputs
        self.counted = setup.counter("conformance_steps_total", "What steps counted", ["kind"])
        self.level = setup.gauge("conformance_level", "What steps set")
        self.size = setup.histogram("conformance_size", "What steps observed")
        self.remembered: str | None = None

    def take_all(
        self, name: str, request: Request, response: Response | None = None, outcome: Outcome | None = None
    ) -> Taken:
        """Takes the steps of a hook and notes their lines."""
        taken = Taken(self, request, response, outcome)
        for step in request.headers.get_all(name):
            taken.take(step)
        if taken.lines:
            request.notes.set("did", "\n".join(lines(request) + taken.lines))
        return taken

    def on_request(self, request: Request) -> Verdict:
        return self.take_all("do-request", request).verdict()

    def on_request_chunk(self, request: Request, chunk: Chunk) -> ChunkVerdict:
        return chunk_verdict(request, "do-request-chunk", chunk)

    def on_response(self, response: Response) -> Verdict:
        verdict = self.take_all("do-response", response.request, response).verdict()
        if verdict is None:
            for line in lines(response.request):
                response.headers.add("x-did", line)
        return verdict

    def on_response_chunk(self, response: Response, chunk: Chunk) -> ChunkVerdict:
        return chunk_verdict(response.request, "do-response-chunk", chunk)

    def on_request_trailers(self, request: Request) -> None:
        self.take_all("do-request-trailers", request)

    def on_response_trailers(self, response: Response) -> None:
        self.take_all("do-response-trailers", response.request, response)

    def on_complete(self, outcome: Outcome) -> None:
        self.take_all("do-complete", outcome.request, outcome=outcome)
        key = outcome.request.headers.get("do-id")
        if key is not None:
            RESULTS.set(key, "\n".join(lines(outcome.request)))

    def on_tick(self) -> None:
        RESULTS.increment("ticks")
