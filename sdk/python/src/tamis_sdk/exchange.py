"""What an exchange has beside its messages: who speaks, where it goes, what filters tell each other, how it went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._host import host
from ._values import Fields, Value, fields, ms, some_ms, text, value
from .errors import Refused, raising

if TYPE_CHECKING:
    from .message import Request, Response


class Connection:
    """Who is speaking, and over what."""

    @property
    def source(self) -> str:
        """The client, as far as trusted hops tell, without a port."""
        return host.connection.source_address()

    @property
    def peer(self) -> str:
        """The other end of the socket, with its port."""
        return host.connection.peer_address()

    @property
    def local(self) -> str:
        """This end of the socket, with its port."""
        return host.connection.local_address()

    @property
    def original_destination(self) -> str | None:
        """Where the client wanted to go before its connection was redirected to the proxy."""
        return host.connection.original_destination()

    @property
    def trusted(self) -> bool:
        """Whether the peer is in one of the listener's trusted ranges."""
        return host.connection.trusted()

    @property
    def listener(self) -> str:
        """The listener's name in the configuration."""
        return host.connection.listener()

    @property
    def protocol(self) -> str:
        """What the client speaks: `http/1.0`, `http/1.1`, `h2` or `tcp`."""
        return host.connection.protocol()

    @property
    def tls_version(self) -> str | None:
        """`TLSv1.2` or `TLSv1.3`; None without TLS."""
        return host.connection.tls_version()

    @property
    def server_name(self) -> str | None:
        """The name that the client asked for in the TLS handshake."""
        return host.connection.server_name()

    @property
    def client_identities(self) -> list[str]:
        """What the client's verified certificate says it is."""
        return host.connection.client_identities()

    @property
    def client_fingerprint(self) -> str | None:
        """The SHA-256 of the client's verified certificate."""
        return host.connection.client_fingerprint()


class Destination:
    """Where the request goes. What the proxy does not know raises `Refused`."""

    @property
    def cluster(self) -> str | None:
        """A filter's choice, else the listener's."""
        return host.destination.cluster()

    @cluster.setter
    def cluster(self, name: str) -> None:
        with raising(Refused):
            host.destination.set_cluster(name)

    @property
    def route(self) -> str | None:
        """The name of the route that was taken, for logs, metrics, traces and later filters."""
        return host.destination.route()

    @route.setter
    def route(self, name: str) -> None:
        host.destination.set_route(name)

    def set_fallback(self, cluster: str) -> None:
        """Where the exchange goes when the cluster has no healthy endpoint."""
        with raising(Refused):
            host.destination.set_fallback(cluster)

    def set_endpoint(self, address: str) -> None:
        """This very endpoint of the cluster, by its address with the port."""
        with raising(Refused):
            host.destination.set_endpoint(address)

    def set_chain(self, name: str) -> None:
        """The exchange goes on through this chain after the present one."""
        with raising(Refused):
            host.destination.set_chain(name)

    def set_subset(self, labels: Mapping[str, str]) -> None:
        """Only endpoints that carry all of these labels are eligible."""
        host.destination.set_subset(list(labels.items()))

    def set_hash_key(self, key: Value) -> None:
        """What a hashing balancer hashes."""
        host.destination.set_hash_key(value(key))

    def set_timeout(self, seconds: float | None) -> None:
        """How long the exchange may take in all; None: as long as it likes."""
        host.destination.set_timeout_ms(0 if seconds is None else ms(seconds))

    def set_retry(self, attempts: int, on: Iterable[str] = (), per_try_timeout: float | None = None) -> None:
        """At most so many attempts in all, on these occasions."""
        with raising(Refused):
            host.destination.set_retry(attempts, list(on), some_ms(per_try_timeout))

    def mirror(self, cluster: str, headers: Fields | None = None, body_limit: int = 1 << 20) -> int:
        """Sends a copy to another cluster. The number finds its result in `Outcome.mirrored`."""
        with raising(Refused):
            return host.destination.mirror(cluster, fields(headers), body_limit)

    def set_response_rate(self, bytes_per_second: int | None) -> None:
        """How fast the response may flow to the client; None: as fast as it can."""
        host.destination.set_response_rate(bytes_per_second or 0)


class Notes:
    """What filters tell each other about the exchange in hand."""

    def get(self, key: str) -> str | None:
        """The note; None if there is none."""
        return host.notes.get(key)

    def set(self, key: str, to: object) -> None:
        """Takes the place of an earlier one."""
        host.notes.set(key, str(to))


@dataclass(frozen=True)
class Mirrored:
    """What became of a copy."""

    status: int | None
    body_hash: int
    #: In seconds.
    duration: float


class Outcome:
    """How the exchange went."""

    def __init__(self, request: Request, response: Response) -> None:
        self.request = request
        self.response = response
        self.connection = connection
        self.destination = destination
        self.notes = notes

    @property
    def status(self) -> int | None:
        """What the client got; None if it got nothing."""
        return host.outcome.status() or None

    @property
    def request_bytes(self) -> int:
        """How long the request's body was."""
        return host.outcome.request_bytes()

    @property
    def response_bytes(self) -> int:
        """How long the response's body was, as the client got it."""
        return host.outcome.response_bytes()

    @property
    def duration(self) -> float:
        """In seconds."""
        return host.outcome.duration_us() / 1_000_000

    @property
    def upstream(self) -> str | None:
        """The address of the endpoint that answered."""
        return host.outcome.upstream()

    @property
    def attempts(self) -> int:
        """How often an endpoint was tried."""
        return host.outcome.attempts()

    @property
    def failure(self) -> str | None:
        """The reason word of an answer that the proxy made, or of an exchange that broke off."""
        return host.outcome.failure()

    def mirrored(self, copy: int) -> Mirrored | None:
        """The result of a copy; None if it has not ended, or was never sent."""
        found = host.outcome.mirrored(copy)
        return found and Mirrored(found.status or None, found.body_hash, found.duration_us / 1_000_000)

    def mirrored_headers(self, copy: int, name: str) -> list[str]:
        """Each value of the name in the copy's answer."""
        return [text(one) or "" for one in host.outcome.mirrored_headers(copy, name)]


# One of each is enough: an instance runs for one exchange at a time.
connection = Connection()
destination = Destination()
notes = Notes()
