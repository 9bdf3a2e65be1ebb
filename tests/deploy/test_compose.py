"""The compose file runs every role, with the settings that it needs and rights that it does not."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from deploy.chart import FOLDER

from penstock.config import Configuration

KNOWN = {f"PENSTOCK_{name.upper()}" for name in Configuration.model_fields}
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "docker" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("api", "ingest", "query", "worker", "check")


def test_there_are_all_roles_and_all_engines() -> None:
    assert set(SERVICES) == {*OURS, "kafka", "mongodb", "redis"}
    for name in OURS:
        assert SERVICES[name]["command"] == [name]


@pytest.mark.parametrize("name", OURS)
def test_a_role_has_settings_that_the_program_knows(name: str) -> None:
    given = SERVICES[name]["environment"]
    assert set(given) <= KNOWN
    assert set(given) >= {"PENSTOCK_LOG_URL", "PENSTOCK_STORE_URL", "PENSTOCK_CACHE_URL"}
    assert ("PENSTOCK_SECRET" in given) == (name != "worker")
    assert ("PENSTOCK_ADMIN_KEY" in given) == (name in ("api", "check"))


@pytest.mark.parametrize("name", OURS)
def test_a_role_may_write_nothing_and_is_nobody(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["user"] == "10001:10001"
    assert "no-new-privileges:true" in service["security_opt"]
    drain_s = Configuration.read().drain_ms / 1000
    assert int(service["stop_grace_period"].removesuffix("s")) >= drain_s + 5


def test_addresses_are_of_services_that_there_are() -> None:
    for name in OURS:
        for key, value in SERVICES[name]["environment"].items():
            if key.endswith(("_URL", "_URLS")):
                host = re.sub(r"^[a-z+]+://([a-z]+):\d+.*$", r"\1", value)
                assert host in SERVICES, key


def test_what_starts_first_tells_when_it_is_ready() -> None:
    for name in OURS:
        for other, condition in SERVICES[name]["depends_on"].items():
            assert condition == {"condition": "service_healthy"}
            # Ours tell by the image's own HEALTHCHECK.
            assert "healthcheck" in SERVICES[other] or other in OURS


def test_only_the_api_is_reached_from_outside_and_only_from_this_machine() -> None:
    assert {name for name, one in SERVICES.items() if "ports" in one} == {"api"}
    assert SERVICES["api"]["ports"][0].startswith("127.0.0.1:")


def test_no_key_stands_in_the_file() -> None:
    text = (FOLDER / "docker" / "compose.yaml").read_text()
    for key in ("PENSTOCK_SECRET", "PENSTOCK_ADMIN_KEY"):
        assert set(re.findall(rf"{key}: (.*)", text)) == {f"${{{key}:?see example.env}}"}
