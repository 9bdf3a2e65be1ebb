"""The cells that are counted in, as Prometheus reads them."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from tests.support.scraping import Scraped

from penstock.telemetry.metrics import Metrics
from penstock.telemetry.series import Histogram


def scraped(metrics: Metrics) -> Scraped:
    return Scraped(metrics.scrape()[0].decode())


def test_a_value_is_counted_in_the_bucket_that_its_bound_closes() -> None:
    one = Histogram((0.5, 1.0))
    for value in (0.25, 0.5, 0.75, 1.0, 1.5, 2.5):
        one.note(value)
    assert (one.counts, one.total) == ([2, 2, 2], 6.5)


def test_buckets_are_scraped_as_sums_of_all_below() -> None:
    metrics = Metrics("serve", "1.2.3")
    cell = metrics.request_seconds.of("serve", "get_record")
    for value in (0.0005, 0.003, 0.003, 0.5, 9.0):
        cell.note(value)
    found = scraped(metrics)
    labels = {"role": "serve", "route": "get_record"}
    name = "penstock_request_seconds"
    assert found.value(f"{name}_bucket", le="0.001", **labels) == 1
    assert found.value(f"{name}_bucket", le="0.005", **labels) == 3
    assert found.value(f"{name}_bucket", le="0.25", **labels) == 3
    assert found.value(f"{name}_bucket", le="0.5", **labels) == 4
    assert found.value(f"{name}_bucket", le="+Inf", **labels) == 5
    assert found.value(f"{name}_count", **labels) == 5
    assert found.value(f"{name}_sum", **labels) == pytest.approx(9.5065)


def test_a_gauge_that_follows_is_worked_out_when_it_is_scraped() -> None:
    metrics = Metrics("serve", "")
    open_ones = [1, 2]
    metrics.connections.of("serve").follow(lambda: len(open_ones))
    open_ones.append(3)
    assert scraped(metrics).value("penstock_connections", role="serve") == 3


def test_what_has_a_cell_is_there_before_anything_is_counted() -> None:
    metrics = Metrics("serve", "")
    metrics.problems.of("serve", "overloaded")
    assert scraped(metrics).value("penstock_problems_total", role="serve", code="overloaded") == 0


def test_label_values_that_are_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="penstock_problems has the labels"):
        Metrics("serve", "").problems.of("overloaded")


def test_label_values_cannot_forge_a_line() -> None:
    metrics = Metrics("serve", "")
    metrics.queries.of('x"} 1\npenstock_forged 1\n').add()
    names = {one.name for one in text_string_to_metric_families(metrics.scrape()[0].decode())}
    assert "penstock_forged" not in names


def test_two_processes_in_one_share_nothing() -> None:
    one, other = Metrics("serve", ""), Metrics("worker", "")
    one.bulk_lines.of("accepted").add(5)
    assert scraped(other).get("penstock_bulk_lines_total", result="accepted") is None


def test_shapes_after_the_first_hundred_count_together() -> None:
    metrics = Metrics("serve", "")
    labels = [metrics.shape(f"{number:08x}") for number in range(150)]
    assert labels[:100] == [f"{number:08x}" for number in range(100)]
    assert set(labels[100:]) == {"other"}
    assert metrics.shape("00000007") == "00000007"
    assert scraped(metrics).value("penstock_query_shapes") == 100


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html, */*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.7,text/plain;q=0.3",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            "application/openmetrics-text; version=9\x00\xe9",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
    ],
)
def test_who_asks_for_openmetrics_gets_it(accept: str, media_type: str) -> None:
    body, found = Metrics("serve", "").scrape(accept)
    assert found == media_type
    parse = openmetrics if "openmetrics" in media_type else text_string_to_metric_families
    assert "penstock_build_info" in {one.name for one in parse(body.decode())}
