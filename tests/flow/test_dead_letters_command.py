"""`penstock dead-letters` against a server with a defect that is mended meanwhile."""

from __future__ import annotations

from pathlib import Path

from tests.support.defect import REASON
from tests.support.server import Server
from tests.support.terminal import Ended, Terminal


def test_dead_letters_are_listed_shown_dropped_and_replayed(server: Server, tmp_path: Path) -> None:
    server.stop()
    server.start("tests.support.defective")
    type_ = Terminal(tmp_path, server.url)
    type_("collections", "put", "c")
    commands: list[tuple[str, ...]] = [
        ("put", "c", "a", '{"poison":1}'),
        ("patch", "c", "a", '{"n":2}'),
        ("put", "c", "b", '{"poison":3}'),
        ("put", "c", "sound", "{}"),
    ]
    for words in commands:
        done = type_("records", *words)
        assert (done.code == 0) == (words[2] == "sound"), done
        assert words[2] == "sound" or done.err.startswith("penstock: quarantined: ")

    first, behind, other = type_("dead-letters", "list", "--collection", "c").lines
    assert (first["id"], first["reason"], behind["behind"]) == ("a", REASON, first["position"])
    assert type_("dead-letters", "show", other["position"]).json["data"] == {"poison": 3}
    still = type_("dead-letters", "replay", "--all")
    assert (still.code, still.err.count(REASON)) == (3, 2)
    assert type_("dead-letters", "drop", other["position"], stdin=b"n\n").code == 1
    assert type_("dead-letters", "drop", other["position"], "--yes").code == 0
    assert refused(type_("dead-letters", "show", other["position"]))

    server.stop()
    server.start()
    assert type_("dead-letters", "replay").code == 2
    done = type_("dead-letters", "replay", "--all")
    assert (done.code, done.err) == (0, f"{first['position']}: 2 applied\n")
    assert type_("dead-letters", "list").out == ""
    assert type_("records", "get", "c", "a").json["data"] == {"poison": 1, "n": 2}
    assert refused(type_("dead-letters", "replay", first["position"]))


def refused(done: Ended) -> bool:
    return done.code == 3 and "dead_letter_not_found" in done.err
