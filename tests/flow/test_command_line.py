"""The command line against a running server, as a person types it."""

from __future__ import annotations

import gzip
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.support.server import Server
from tests.support.terminal import Terminal, await_batches


@pytest.fixture
def type_(server: Server, tmp_path: Path) -> Terminal:
    folder = tmp_path / "work"
    folder.mkdir()
    return Terminal(folder, server.url)


def exported(type_: Terminal, collection: str) -> dict[str, Any]:
    return {one["id"]: one["data"] for one in type_("records", "export", collection).lines}


def test_a_collection_is_put_shown_listed_and_dropped(type_: Terminal) -> None:
    (type_.folder / "schema.json").write_text('{"required":["n"]}')
    put = type_("collections", "put", "c", "--schema", "schema.json", "--ttl", "30d")
    assert put.json["schema"] == {"required": ["n"]}
    assert put.json["ttl"] == {"field": "updated_at", "after": "30d"}
    assert type_("collections", "get", "c").json == put.json
    assert type_("collections", "list").out == "c\n"
    assert type_("collections", "delete", "c", "--yes").code == 0
    assert type_("collections", "list").out == ""


def test_a_collection_is_put_with_all_its_settings_as_json(type_: Terminal) -> None:
    settings = '{"indexes":[{"fields":["data.site"]}],"ttl":{"after":"1d"}}'
    put = type_("collections", "put", "c", "--settings", settings)
    assert put.json["indexes"][0]["fields"] == ["data.site"]
    (type_.folder / "settings.json").write_text(settings)
    assert type_("collections", "put", "c", "--settings", "@settings.json").code == 0
    both = type_("collections", "put", "c", "--settings", "{}", "--ttl", "1d")
    assert (both.code, both.out) == (2, "")
    assert type_("collections", "put", "c", "--settings", '{"index":[]}').code == 3


def test_a_collection_is_not_dropped_without_a_yes(type_: Terminal) -> None:
    type_("collections", "put", "c")
    assert type_("collections", "delete", "c", stdin=b"n\n").code == 1
    assert type_("collections", "list").out == "c\n"


def test_a_record_is_put_patched_shown_and_deleted(type_: Terminal) -> None:
    type_("collections", "put", "c")
    (type_.folder / "r.json").write_text('{"a":1}')
    put = type_("records", "put", "c", "x/1", "@r.json")
    assert (put.code, put.json["status"]) == (0, "applied")
    assert type_("records", "patch", "c", "x/1", "-", stdin=b'{"b":2}').code == 0
    assert type_("records", "get", "c", "x/1").json["data"] == {"a": 1, "b": 2}
    assert type_("records", "delete", "c", "x/1").code == 0
    gone = type_("records", "get", "c", "x/1")
    assert (gone.code, gone.out) == (3, "")
    assert gone.err.startswith("penstock: record_not_found: ")


def test_conditions_are_kept(type_: Terminal) -> None:
    type_("collections", "put", "c")
    version = type_("records", "put", "c", "r", "{}", "--if-absent").json["version"]
    assert type_("records", "put", "c", "r", "{}", "--if-absent").code == 3
    assert type_("records", "put", "c", "r", '{"n":1}', "--if-match", "0" * 24).code == 3
    assert type_("records", "put", "c", "r", '{"n":1}', "--if-match", version).code == 0


@pytest.mark.parametrize("record_id", [".", "..", "a b", "ü%2F", "?x#y", "-"])
def test_an_odd_id_is_still_an_id(type_: Terminal, record_id: str) -> None:
    type_("collections", "put", "c")
    assert type_("records", "put", "c", "--", record_id, "{}").code == 0
    assert list(exported(type_, "c")) == [record_id]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("records", "get", "c", "x"), 3, "collection_not_found"),
        (("records", "put", "c", "x", "@nothing"), 2, "nothing cannot be read"),
        (("collections", "put", "NO"), 3, "invalid_name"),
        (("collections", "put", "c", "--schema", "nothing"), 2, "cannot be read"),
        (("records", "import", "c", "nothing"), 2, "cannot be read"),
        (("records", "import", "c", "-", "--retry-for", "soon"), 2, "A duration is"),
        (
            ("records", "import", "c", "-", "--create", "--format", "csv", "--exported"),
            2,
            "not CSV",
        ),
        (("records", "import", "c", "-", "--create", "--refused", "no/x"), 2, "cannot be written"),
        (("records", "nothing"), 2, "No such command"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(
    type_: Terminal, words: tuple[str, ...], code: int, told: str
) -> None:
    ended = type_(*words)
    assert ended.code == code
    assert told in ended.err
    assert "Traceback" not in ended.err


def test_a_wrong_key_no_key_and_no_server_are_told_apart(server: Server, tmp_path: Path) -> None:
    wrong = Terminal(tmp_path, server.url, "wrong-key")("collections", "list")
    assert (wrong.code, "unauthenticated" in wrong.err) == (3, True)
    nowhere = Terminal(tmp_path, "http://127.0.0.1:9")("collections", "list")
    assert (nowhere.code, "no answer from" in nowhere.err) == (4, True)
    keyless = Terminal(tmp_path, server.url)
    del keyless.environment["PENSTOCK_KEY"]
    assert keyless("collections", "list").code == 2
    assert keyless("collections", "list", "--url", "nonsense").code == 2


@pytest.mark.parametrize("name", ["log.db", "store.db", "catalog.db"])
def test_data_that_is_damaged_stops_the_start_with_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(b"this is no database, but it is long enough" * 50)
    ended = Terminal(tmp_path, "")("serve", "--port", "0", "--data", "data")
    assert ended.code == 2
    assert ended.err.startswith("penstock: The data in data cannot be opened: ")
    assert "Traceback" not in ended.err


def test_the_key_is_found_in_the_data_directory(server: Server, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "admin-key").write_text(f"{Server.KEY}\n")
    type_ = Terminal(tmp_path, server.url)
    del type_.environment["PENSTOCK_KEY"]
    assert type_("collections", "list", "--data", "kept").code == 0


def test_ndjson_is_imported_with_ids_of_its_own_and_the_later_line_wins(type_: Terminal) -> None:
    lines = [{"k": f"r{n % 700}", "n": n} for n in range(1_000)]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (type_.folder / "in.ndjson.gz").write_bytes(gzip.compress(content))
    ended = type_(
        *("records", "import", "c", "in.ndjson.gz"), "--create", "--id-field", "k", "--batch", "90"
    )
    assert ended.code == 0, ended.err
    assert ended.out.startswith("1,000 lines: 1,000 accepted, 0 refused, in ")
    assert exported(type_, "c") == {str(line["k"]): line for line in lines}
    assert [path.name for path in type_.folder.iterdir()] == ["in.ndjson.gz"]


def test_what_was_exported_can_be_imported(type_: Terminal) -> None:
    type_("collections", "put", "c")
    content = b'{"a":1}\n{"a":"\\u00fc"}\n{"a":[{}]}\n'
    assert type_("records", "import", "c", "-", stdin=content).code == 0
    type_("records", "export", "c", "out.ndjson")
    assert type_("records", "import", "d", "out.ndjson", "--exported", "--create").code == 0
    assert exported(type_, "d") == exported(type_, "c")
    assert len(exported(type_, "d")) == 3


def test_the_file_of_refused_lines_is_never_the_one_that_is_imported(type_: Terminal) -> None:
    (type_.folder / "in.ndjson").write_text('{"a":1}\n')
    words = ("records", "import", "c", "in.ndjson", "--create", "--refused", "in.ndjson")
    assert type_(*words).code == 2
    assert (type_.folder / "in.ndjson").read_text() == '{"a":1}\n'


def test_a_pipe_is_imported_though_it_cannot_be_read_twice(type_: Terminal) -> None:
    os.mkfifo(type_.folder / "pipe")
    running = type_.start("records", "import", "c", "pipe", "--create")
    (type_.folder / "pipe").write_text('{"a":1}\n{"a":2}\n')
    out, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (0, "")
    assert out.startswith("2 lines: 2 accepted")
    assert [path.name for path in type_.folder.iterdir()] == ["pipe"]


def test_refused_lines_are_counted_and_kept_with_their_reasons(type_: Terminal) -> None:
    type_("collections", "put", "c")
    bad = {2: '{"a":1,"a":2}', 4: "not json", 5: '{"a":1e999}', 7: '"text"'}
    lines = [bad.get(n, f'{{"n":{n}}}') for n in range(1, 9)]
    (type_.folder / "in.ndjson").write_text("\n".join(lines))
    ended = type_("records", "import", "c", "in.ndjson", "--batch", "3")
    assert ended.code == 5
    assert "8 lines: 4 accepted, 4 refused" in ended.out
    assert "in.ndjson.refused.ndjson" in ended.err
    refused = (type_.folder / "in.ndjson.refused.ndjson").read_text().splitlines()
    told = [json.loads(line) for line in refused]
    assert {one["line"]: one["input"] for one in told} == bad
    assert [one["problem"]["code"] for one in told] == [
        "malformed_json",
        "invalid_line",
        "invalid_record",
        "invalid_record",
    ]
    assert sorted(one["n"] for one in exported(type_, "c").values()) == [1, 3, 6, 8]


def test_an_import_that_is_interrupted_goes_on_where_it_was(
    server: Server, type_: Terminal
) -> None:
    """Ctrl-C, kill -9 and a dead server: at the end every line is there, once."""
    type_("collections", "put", "c")
    count = 60_000
    (type_.folder / "in.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(count)))
    words = ("records", "import", "c", "in.csv", "--batch", "200", "--retry-for", "1s")
    ledger = type_.folder / "in.csv.penstock-import"
    codes: list[int] = []
    for end in (signal.SIGINT, signal.SIGKILL, None):
        running = type_.start(*words)
        await_batches(ledger, 10 * (len(codes) + 1), running)
        if end is None:
            server.kill()
        else:
            running.send_signal(end)
        _, err = running.communicate(timeout=60)
        codes.append(running.returncode)
        assert "Traceback" not in err
    assert codes == [130, -9, 4]
    done = json.loads(ledger.read_text())["lines"]
    assert 0 < done < count
    server.start()
    type_.environment["PENSTOCK_URL"] = server.url
    ended = type_(*words)
    assert ended.code == 0, ended.err
    assert f"Going on after {done:,} lines" in ended.err
    assert f"{count:,} lines: {count:,} accepted" in ended.out
    assert sorted(one["n"] for one in exported(type_, "c").values()) == list(range(count))
    assert not ledger.exists()


@pytest.fixture
def interrupted(type_: Terminal) -> tuple[str, ...]:
    """The words of an import that did not get far."""
    type_("collections", "put", "c")
    (type_.folder / "in.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(50_000)))
    words = ("records", "import", "c", "in.csv", "--batch", "100")
    running = type_.start(*words)
    await_batches(type_.folder / "in.csv.penstock-import", 1, running)
    running.kill()
    running.communicate()
    return words


def test_a_file_that_has_changed_is_not_gone_on_with(
    type_: Terminal, interrupted: tuple[str, ...]
) -> None:
    (type_.folder / "in.csv").write_text("n\n1\n")
    changed = type_(*interrupted)
    assert (changed.code, "the file is another now" in changed.err) == (2, True)
    assert type_(*interrupted, "--restart").out.startswith("1 lines: 1 accepted")


def test_another_collection_of_the_same_name_is_not_gone_on_with(
    type_: Terminal, interrupted: tuple[str, ...]
) -> None:
    type_("collections", "delete", "c", "--yes")
    type_("collections", "put", "c")
    changed = type_(*interrupted)
    assert (changed.code, "the collection are others now" in changed.err) == (2, True)
