"""What a filter hears beside its configuration, and may say about itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from ._host import host
from .errors import Refused, raising

#: A word of the proxy for a hook.
Hook = Literal["request", "request-chunk", "response", "response-chunk", "trailers", "complete", "tick"]


class _Metric:
    def __init__(self, kind: str, name: str, help: str, labels: Sequence[str]) -> None:
        with raising(Refused):
            self._id = host.metrics.declare(name, help, host.metrics.Kind[kind], list(labels))
        self._labels = labels

    def _observed(self, value: float, labels: dict[str, object]) -> None:
        host.metrics.observe(self._id, [str(labels.get(name, "")) for name in self._labels], float(value))


class Counter(_Metric):
    """A number that only rises."""

    def add(self, value: float = 1, **labels: object) -> None:
        """Adds one, or this."""
        self._observed(value, labels)


class Gauge(_Metric):
    """A number that rises and falls."""

    def set(self, value: float, **labels: object) -> None:
        """Sets it."""
        self._observed(value, labels)


class Histogram(_Metric):
    """How often values of which size came."""

    def observe(self, value: float, **labels: object) -> None:
        """Counts a value."""
        self._observed(value, labels)


class Setup:
    """What `__init__` is given beside the configuration."""

    def __init__(self, inputs: Sequence[Any]) -> None:
        #: Files and resources that the filter's `inputs` names.
        self.inputs: dict[str, bytes] = {one.name: one.content for one in inputs}
        self._chosen = False

    def want(self, hook: Hook) -> None:
        """Only hooks that are named so are called, where the configuration leaves some without work."""
        with raising(Refused):
            host.setup.want(hook)
        self._chosen = True

    def keep_state(self) -> None:
        """What one hook leaves in memory is there in the next: the instance is held until the exchange ends."""
        host.setup.keep_state()

    def tick_every(self, seconds: float) -> None:
        """The time between two ticks; 0: never."""
        host.setup.tick_every_ms(math.ceil(seconds * 1000))

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """Declares a metric. Raises `Refused` if the name is no valid one."""
        return Counter("COUNTER", name, help, labels)

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Gauge:
        """Declares a metric."""
        return Gauge("GAUGE", name, help, labels)

    def histogram(self, name: str, help: str, labels: Sequence[str] = ()) -> Histogram:
        """Declares a metric."""
        return Histogram("HISTOGRAM", name, help, labels)
