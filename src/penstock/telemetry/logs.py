"""Structured logs: one JSON object a line on standard error, which no input can forge."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final

import structlog
from structlog.typing import EventDict


class Current:
    """What is being answered on a connection: its lines have this id. They look when they come."""

    __slots__ = ("request_id",)

    def __init__(self) -> None:
        self.request_id: str | None = None


CURRENT: Final[ContextVar[Current | None]] = ContextVar("current", default=None)
"""Set once for a connection, whose requests come one after the other: to set it for each request
would cost it two microseconds, five times as much as all that is counted."""


def own_context() -> Context:
    """A context for the tasks of one connection, with a `Current` in it."""
    context = copy_context()
    context.run(CURRENT.set, Current())
    return context


def configure(level: str, trace_id: Callable[[], str | None] | None = None) -> None:
    """To be called once, at the start of a process.

    Args:
        level: as in the configuration.
        trace_id: of what is being done; None where nothing is traced.

    What libraries log by Python's own logging comes out the same way, from warnings on.
    """

    def context(_logger: object, _method: str, event: EventDict) -> EventDict:
        current = CURRENT.get()
        if current is not None and current.request_id is not None:
            event.setdefault("request_id", current.request_id)
        trace = None if trace_id is None else trace_id()
        if trace is not None:
            event["trace_id"] = trace
        return event

    structlog.configure(
        processors=[
            context,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Foreign()], force=True)


def logger(part: str) -> Any:
    """The logger of one part; events are snake_case words, values are keyword arguments."""
    return structlog.get_logger(part=part)


class _Foreign(logging.Handler):
    """Hands on what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        line = structlog.get_logger(part=record.name)
        line.log(record.levelno, "library", message=record.getMessage(), exc_info=record.exc_info)
