"""Grafana's dashboards, made from a table of their panels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

_WIDTH: Final = 24
_HEIGHT: Final = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_HERE: Final = 'namespace=~"$namespace"'
_FRONT: Final = f'{_HERE},role=~"api|serve"'
_WINDOW: Final = "$__rate_interval"


class Panel(NamedTuple):
    """A graph: its queries with their legends, and the unit of its values."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    description: str = ""


def _quantiles(metric: str, where: str, by: str = "") -> list[tuple[str, str]]:
    groups = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    rates = f"rate({metric}_bucket{{{where}}}[{_WINDOW}])"
    return [
        (
            f"histogram_quantile({q}, sum by ({groups}) ({rates}))",
            f"{legend}p{round(q * 100)}",
        )
        for q in (0.5, 0.95, 0.99)
    ]


def _rate(metric: str, where: str, by: str) -> tuple[str, str]:
    return f"sum by ({by}) (rate({metric}{{{where}}}[{_WINDOW}]))", f"{{{{{by}}}}}"


_OVERVIEW: Final = (
    Panel("Requests a second", "reqps", [_rate("penstock_answers_total", _FRONT, "route")]),
    Panel("Answers by status", "reqps", [_rate("penstock_answers_total", _FRONT, "status")]),
    Panel(
        "Time to answer",
        "s",
        _quantiles("penstock_request_seconds", f'{_FRONT},route!~"write_records|export_records"'),
        "Bulk requests and exports stream, and are left out.",
    ),
    Panel(
        "Slower than 500 ms",
        "percentunit",
        [
            (f"penstock:slow:ratio_rate5m{{{_HERE}}}", "5 minutes"),
            (f"penstock:slow:ratio_rate6h{{{_HERE}}}", "6 hours"),
        ],
        "The promise allows 0.1 %.",
    ),
    Panel("Problems by code", "reqps", [_rate("penstock_problems_total", _FRONT, "code")]),
    Panel(
        "Under way",
        "short",
        [
            (f"sum by (role) (penstock_requests_in_flight{{{_HERE}}})", "{{role}} requests"),
            (f"sum by (role) (penstock_connections{{{_HERE}}})", "{{role}} connections"),
        ],
    ),
    Panel("Bulk lines a second", "short", [_rate("penstock_bulk_lines_total", _HERE, "result")]),
    Panel(
        "Lag",
        "s",
        [
            (f"max(penstock_lag_seconds{{{_HERE}}})", "workers"),
            (f"max(penstock_backlog_seconds{{{_HERE}}})", "as ingest sees it"),
        ],
        "Age of the oldest entry that is not applied yet.",
    ),
)

_PIPELINE: Final = (
    Panel("Entries a second", "short", [_rate("penstock_entries_total", _HERE, "outcome")]),
    Panel(
        "Entries not applied, by partition",
        "short",
        [
            (
                f"sum by (generation, partition) (penstock_lag_entries{{{_HERE}}})",
                "{{generation}}/{{partition}}",
            )
        ],
    ),
    Panel("Entries applied in one go", "short", _quantiles("penstock_slice_entries", _HERE)),
    Panel("Time to apply them", "s", _quantiles("penstock_slice_seconds", _HERE)),
    Panel(
        "Log", "s", _quantiles("penstock_engine_seconds", f'{_HERE},engine="log"', "operation")[2:]
    ),
    Panel(
        "Store",
        "s",
        _quantiles("penstock_engine_seconds", f'{_HERE},engine="store"', "operation")[2:],
    ),
    Panel(
        "Cache",
        "s",
        _quantiles("penstock_engine_seconds", f'{_HERE},engine="cache"', "operation")[2:],
    ),
    Panel("Calls that failed", "short", [_rate("penstock_failures_total", _HERE, "engine")]),
    Panel("Reads of the cache", "short", [_rate("penstock_cache_reads_total", _HERE, "result")]),
    Panel(
        "Gathered: appends and reads",
        "short",
        [
            *_quantiles("penstock_append_entries", _HERE)[:1],
            *_quantiles("penstock_read_records", _HERE, "source")[:1],
        ],
        "How many share a commit, or a call; more is cheaper.",
    ),
    Panel(
        "Slices put off",
        "short",
        [(f"sum(rate(penstock_slices_put_off_total{{{_HERE}}}[{_WINDOW}]))", "a second")],
    ),
    Panel(
        "Redis left alone",
        "short",
        [(f"max by (caller) (penstock_cache_left_alone{{{_HERE}}})", "{{caller}}")],
    ),
)

_PROCESSES: Final = (
    Panel(
        "Processes",
        "short",
        [(f"count by (role, version) (penstock_build_info{{{_HERE}}})", "{{role}} {{version}}")],
    ),
    Panel(
        "CPU",
        "short",
        [(f"sum by (pod) (rate(process_cpu_seconds_total{{{_HERE}}}[{_WINDOW}]))", "{{pod}}")],
    ),
    Panel(
        "Memory", "bytes", [(f"max by (pod) (process_resident_memory_bytes{{{_HERE}}})", "{{pod}}")]
    ),
    Panel("Files open", "short", [(f"max by (pod) (process_open_fds{{{_HERE}}})", "{{pod}}")]),
    Panel(
        "The event loop wakes late", "s", _quantiles("penstock_loop_lag_seconds", _HERE, "loop")[2:]
    ),
    Panel("Queries", "s", _quantiles("penstock_query_seconds", _HERE, "plan")[1:]),
    Panel("Slow queries by shape", "short", [_rate("penstock_slow_queries_total", _HERE, "shape")]),
)


def _board(uid: str, title: str, panels: Sequence[Panel]) -> str:
    across = 2
    board = {
        "uid": uid,
        "title": title,
        "tags": ["penstock"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"},
                {
                    "name": "namespace",
                    "label": "Namespace",
                    "type": "query",
                    "datasource": _SOURCE,
                    "query": "label_values(penstock_build_info, namespace)",
                    "refresh": 2,
                    "includeAll": True,
                    "allValue": ".*",
                    "multi": True,
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": [
            _panel(one, number, number % across * (_WIDTH // across), number // across * _HEIGHT)
            for number, one in enumerate(panels)
        ],
    }
    return json.dumps(board, indent=2) + "\n"


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": _WIDTH // 2, "h": _HEIGHT},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 8}},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _SOURCE,
                "expr": expr,
                "legendFormat": legend,
            }
            for place, (expr, legend) in enumerate(panel.queries)
        ],
    }


DASHBOARDS: Final = {
    "penstock.json": _board("penstock", "Penstock", _OVERVIEW),
    "penstock-pipeline.json": _board("penstock-pipeline", "Penstock: log to cache", _PIPELINE),
    "penstock-processes.json": _board("penstock-processes", "Penstock: processes", _PROCESSES),
}
"""Files by their names."""
