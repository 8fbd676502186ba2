"""The interfaces of wit/, as whoever runs the filter gives them: the proxy (`_world`), or a test."""

from types import SimpleNamespace
from typing import Any

host: Any = SimpleNamespace()


def bind(**interfaces: Any) -> None:
    """Takes them in by their names."""
    for name, interface in interfaces.items():
        setattr(host, name, interface)
