"""What the handlers work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.access import Access, KeyKeeping, Limits
from penstock.api.response import Response
from penstock.api.turns import Turns
from penstock.apply import Quarantine
from penstock.config import Configuration
from penstock.ingest import Ingest
from penstock.ports.clock import Clock
from penstock.query import Query
from penstock.records.receipt import Receipts
from penstock.telemetry.metrics import Metrics

if TYPE_CHECKING:  # loaded only where traces are asked for
    from penstock.telemetry.traces import Traces

Ready = Callable[[], Awaitable[str | None]]
"""None when the process is ready for requests, else a sentence that says what is missing."""


@dataclass(frozen=True)
class Below:
    """The parts of the house below the API.

    Attributes:
        traces: None where nothing is traced.
    """

    access: Access
    limits: Limits
    ingest: Ingest
    query: Query
    quarantine: Quarantine
    receipts: Receipts
    keys: KeyKeeping
    metrics: Metrics
    traces: Traces | None


@dataclass(frozen=True)
class Services(Below):
    """These parts, and the answers that never change.

    Attributes:
        turns: for what takes the event loop for milliseconds at a time.
        openapi, guide: what `/openapi.json` and `/docs` answer.
    """

    clock: Clock
    configuration: Configuration
    ready: Ready
    turns: Turns
    openapi: Response
    guide: Response
