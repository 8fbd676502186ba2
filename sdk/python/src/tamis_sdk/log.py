"""Lines in the proxy's log. What `logging` and `print` write goes there as well."""

from __future__ import annotations

import logging
from typing import Literal

from ._host import host

Severity = Literal["trace", "debug", "info", "warn", "error"]


def enabled(severity: Severity) -> bool:
    """Whether a line would be written: ask before putting together one that is costly."""
    return host.log.enabled(host.log.Severity[severity.upper()])


def write(severity: Severity, message: str) -> None:
    """Writes one line."""
    host.log.write(host.log.Severity[severity.upper()], message)


def trace(message: str) -> None:
    """Every step."""
    write("trace", message)


def debug(message: str) -> None:
    """What helps to find a mistake."""
    write("debug", message)


def info(message: str) -> None:
    """What an operator may want to know."""
    write("info", message)


def warn(message: str) -> None:
    """What an operator should look at."""
    write("warn", message)


def error(message: str) -> None:
    """What an operator must look at."""
    write("error", message)


class Handler(logging.Handler):
    """What takes the records of `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelno
        severity: Severity = "error" if level >= 40 else "warn" if level >= 30 else "info" if level >= 20 else "debug"
        if enabled(severity):
            write(severity, self.format(record))
