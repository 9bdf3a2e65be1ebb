"""The documents are made from the code, and are up to date."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from penstock.api import guide, openapi
from penstock.api.problem import STATUS
from penstock.api.routes import ROUTES
from penstock.errors import CODES

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT = openapi.document(ROUTES)


def references(value: Any) -> set[str]:
    return set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(value)))


def test_the_stored_document_is_the_one_that_is_served() -> None:
    stored = json.loads((DOCS / "openapi.json").read_text())
    assert stored == json.loads(openapi.answer(ROUTES).body)


def test_the_command_writes_the_document_and_knows_whether_it_is_up_to_date(
    tmp_path: Path,
) -> None:
    file = tmp_path / "openapi.json"
    assert openapi.main(["--check", str(file)]) == 1
    assert openapi.main([str(file)]) == 0
    assert openapi.main(["--check", str(file)]) == 0
    assert file.read_text() == (DOCS / "openapi.json").read_text()


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        found: Any = DOCUMENT
        for part in reference.split("/"):
            found = found[part]
        assert found


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_is_described_with_all_its_answers(route: Any) -> None:
    operation = DOCUMENT["paths"][route.pattern][route.method.lower()]
    assert operation["operationId"] == route.name
    assert operation["summary"]
    wanted = {str(reply.status) for reply in route.replies}
    wanted |= {str(STATUS[code]) for code in openapi.codes(route)}
    assert operation["responses"].keys() == wanted
    named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
    assert named == set(re.findall(r"{(\w+)}", route.pattern))


def test_names_of_operations_are_unique() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)


class Page(HTMLParser):
    """Collects what a page holds, and that its elements are closed in order."""

    VOID = frozenset(("meta", "br", "link", "img"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found["href"]))
        assert not {"src", "style", "onclick"} & found.keys()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_guide_needs_nothing_from_elsewhere_and_its_links_lead_somewhere() -> None:
    page = Page(guide.answer(ROUTES).body.decode())
    assert not page.open
    assert not page.tags & {"script", "link", "img", "iframe"}
    assert len(page.ids) == len(set(page.ids))
    inner = {link.removeprefix("#") for link in page.links if link.startswith("#")}
    assert inner <= set(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == {"/openapi.json"}
    assert {route.name for route in ROUTES} <= set(page.ids)
    assert {f"problem-{code}" for code in CODES} <= set(page.ids)


def test_the_written_guide_lists_the_problems_as_they_are() -> None:
    text = (DOCS / "http-api.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+) \|$", text, re.MULTILINE)
    assert rows == [(code, str(STATUS[code]), sentence) for code, sentence in CODES.items()]


def test_the_written_guide_names_every_route() -> None:
    text = (DOCS / "http-api.md").read_text()
    missing = [
        f"{route.method} {route.pattern}"
        for route in ROUTES
        if f"`{route.method} {route.pattern}`" not in text
    ]
    assert missing == []
