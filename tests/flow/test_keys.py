"""Keys, tenants and tokens over HTTP: who may do what, and who never sees whom."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from tests.support.asking import Caller, Reply
from tests.support.issuer import AUDIENCE, Provider, Signer, claims, provider
from tests.support.server import Server
from typer.testing import CliRunner

from penstock.api.route import Route
from penstock.api.routes import ROUTES
from penstock.cli.app import app
from penstock.records.scope import Verb

EVERYTHING = [{"collections": "*", "verbs": ["read", "write", "admin"]}]
SIGNER = Signer("ES256", "flow")
ROUTES_OF_COLLECTIONS = [one for one in ROUTES if "{collection}" in one.pattern]
ROUTES_OF_TENANTS = [one for one in ROUTES if one.tag in ("Keys", "Dead letters")]


class Stage(NamedTuple):
    """A server that takes keys and tokens, its operator, and its issuer."""

    server: Server
    operator: Caller
    web: Provider

    def with_key(self, key: str) -> Asking:
        return Asking(self.operator, key)

    def key(self, tenant: str = "default", scopes: Any = None, **more: Any) -> Asking:
        """A new key of a tenant."""
        body = {"tenant": tenant, "name": "k", "scopes": scopes or EVERYTHING, **more}
        return self.with_key(created(self.operator, body)["key"])

    def token(self, **more: Any) -> Asking:
        return self.with_key(SIGNER.token(claims(self.web.url, **more)))


class Asking:
    """Asks with a key of its own."""

    def __init__(self, caller: Caller, key: str) -> None:
        self.caller = caller
        self.key = key

    def __call__(self, method: str, target: str, value: Any = None, **headers: str) -> Reply:
        given = {"Authorization": f"Bearer {self.key}", **headers}
        if value is None:
            return self.caller(method, target, None, given)
        kind = "application/x-ndjson" if target.endswith(":bulk") else "application/json"
        return self.caller(
            method, target, json.dumps(value).encode(), {"Content-Type": kind, **given}
        )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with provider() as web:
        web.publish(SIGNER)
        settings = {"PENSTOCK_OIDC_ISSUER": web.url, "PENSTOCK_OIDC_AUDIENCE": AUDIENCE}
        server = Server(tmp_path_factory.mktemp("keys") / "data", **settings)
        server.start()
        try:
            yield Stage(server, Caller(server), web)
        finally:
            server.close()


def post(caller: Caller, target: str, value: Any) -> Reply:
    return caller("POST", target, json.dumps(value).encode(), {"Content-Type": "application/json"})


def created(caller: Caller, body: Any) -> Any:
    made = post(caller, "/v1/keys", body)
    assert made.status == 201, made
    return made.json


def rfc3339(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def scoped(verbs: str, collections: str = "*") -> list[Any]:
    return [{"collections": collections, "verbs": verbs.split()}]


# Keys themselves.


def test_a_key_is_shown_once_and_listed_without_what_it_is(stage: Stage) -> None:
    body = {
        "tenant": "shown",
        "name": "billing \u00e9",
        "scopes": scoped("read write", "orders-*"),
        "rate": {"requests_per_second": 1000, "bytes_per_second": 1_000_000},
        "expires_at": "2090-01-31T12:00:00+02:00",
    }
    made = post(stage.operator, "/v1/keys", body)
    assert (made.status, made.headers["cache-control"]) == (201, "no-store")
    assert made.headers["location"] == f"/v1/keys/{made.json['id']}?tenant=shown"
    shown = {name: value for name, value in made.json.items() if name != "key"}
    assert made.json["key"].startswith("penstock_")
    assert shown == {
        **body,
        "id": made.json["id"],
        "created_at": made.json["created_at"],
        "created_by": "admin",
        "expires_at": "2090-01-31T10:00:00.000Z",
    }
    assert stage.operator("GET", made.headers["location"]).json == shown
    listed = stage.operator("GET", "/v1/keys?tenant=shown")
    assert listed.json == {"keys": [shown]}
    assert made.json["id"] not in str(stage.operator("GET", "/v1/keys").json)
    for kept in stage.server.data.iterdir():
        if kept.is_file():
            assert made.json["key"].removeprefix("penstock_").encode() not in kept.read_bytes()


def test_keys_come_page_by_page(stage: Stage) -> None:
    for _ in range(5):
        stage.key("paged")
    every = stage.operator("GET", "/v1/keys?tenant=paged").json["keys"]
    found, token = [], ""
    while True:
        page = stage.operator("GET", f"/v1/keys?tenant=paged&page_size=2{token}").json
        found += page["keys"]
        if "next_page_token" not in page:
            break
        token = f"&page_token={page['next_page_token']}"
    assert found == every
    assert [one["id"] for one in every] == sorted(one["id"] for one in every)
    assert len(every) == 5
    assert stage.operator("GET", "/v1/keys?page_token=x").code == "invalid_page_token"


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": 7}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": EVERYTHING * 51}, "/scopes"),
        ({"scopes": scoped("read", "")}, "/scopes/0/collections"),
        ({"scopes": scoped("read", "Orders")}, "/scopes/0/collections"),
        ({"scopes": scoped("read", "a\n")}, "/scopes/0/collections"),
        ({"scopes": [*EVERYTHING, {"collections": "a", "verbs": []}]}, "/scopes/1/verbs"),
        ({"scopes": scoped("read own")}, "/scopes/0/verbs/1"),
        ({"scopes": [{**EVERYTHING[0], "more": 1}]}, "/scopes/0/more"),
        ({"tenant": "A"}, "/tenant"),
        ({"tenant": "a:b"}, "/tenant"),
        ({"rate": {"requests_per_second": 0}}, "/rate/requests_per_second"),
        ({"rate": {"bytes_per_second": -1}}, "/rate/bytes_per_second"),
        ({"rate": {"per_minute": 1}}, "/rate/per_minute"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2090-01-01T00:00:00"}, "/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59Z"}, "/expires_at"),
        ({"expires_at": "soon"}, "/expires_at"),
        ({"id": "01a214f36a1e88ad20d6"}, "/id"),
        ({"key": "penstock_0"}, "/key"),
        ({"digest": "x"}, "/digest"),
        ({"created_by": "admin"}, "/created_by"),
        ({"created_at": 0}, "/created_at"),
        ({"is_operator": True}, "/is_operator"),
        ({"last_used_at": 0}, "/last_used_at"),
    ],
    ids=lambda one: json.dumps(one)[:60],
)
def test_what_a_key_cannot_be_is_refused_with_its_place(
    stage: Stage, wrong: Any, pointer: str
) -> None:
    body = {"tenant": "refused", "name": "k", "scopes": EVERYTHING} | wrong
    refused = post(stage.operator, "/v1/keys", body)
    assert (refused.status, refused.code) == (400, "invalid_body")
    assert [one["pointer"] for one in refused.json["errors"]] == [pointer]
    assert stage.operator("GET", "/v1/keys?tenant=refused").json == {"keys": []}


def test_a_revoked_key_is_refused_at_once_as_one_that_never_was(stage: Stage) -> None:
    key = stage.key("revoked")
    assert key("GET", "/v1/collections").status == 200
    (shown,) = key("GET", "/v1/keys").json["keys"]
    assert stage.operator("DELETE", f"/v1/keys/{shown['id']}?tenant=revoked").status == 204
    never = stage.with_key("nonsense")
    bodies = {
        one("GET", "/v1/collections", **{"X-Request-Id": "same"}).body
        for one in (key, never, stage.with_key(""), stage.with_key(f"{key.key}0"))
    }
    assert len(bodies) == 1
    assert json.loads(bodies.pop())["code"] == "unauthenticated"
    for method in ("GET", "DELETE"):
        gone = stage.operator(method, f"/v1/keys/{shown['id']}?tenant=revoked")
        assert (gone.status, gone.code) == (404, "key_not_found")


def test_a_key_is_refused_from_the_moment_it_expires(stage: Stage) -> None:
    expires = time.time() + 1.5
    key = stage.key("expiring", expires_at=rfc3339(1.5))
    assert key("GET", "/v1/collections").status == 200
    while time.time() < expires - 0.1:
        status = key("GET", "/v1/collections").status
        assert status == 200 or time.time() > expires - 0.1
    time.sleep(max(expires + 0.05 - time.time(), 0))
    assert key("GET", "/v1/collections").code == "unauthenticated"


def test_a_rotated_key_is_valid_for_the_overlap_beside_the_new_one(stage: Stage) -> None:
    old = stage.key("rotated", scoped("read admin"))
    (before,) = stage.operator("GET", "/v1/keys?tenant=rotated").json["keys"]
    target = f"/v1/keys/{before['id']}:rotate"
    made = old("POST", target, {"overlap": "1500ms"})
    until = time.time() + 1.5
    assert made.status == 201
    assert made.json["scopes"] == before["scopes"]
    assert made.json["created_by"] == before["id"]
    new = stage.with_key(made.json["key"])
    assert old("GET", "/v1/collections").status == new("GET", "/v1/collections").status == 200
    shown = new("GET", f"/v1/keys/{before['id']}").json
    assert shown["replaced_by"] == made.json["id"]
    assert "replaced_by" not in new("GET", f"/v1/keys/{made.json['id']}").json
    time.sleep(max(until + 0.05 - time.time(), 0))
    assert old("GET", "/v1/collections").status == 401
    assert new("GET", "/v1/collections").status == 200
    gone = new("POST", f"/v1/keys/{made.json['id']}:rotate", {"overlap": "0s"}).json["key"]
    assert new("GET", "/v1/collections").status == 401
    last = stage.with_key(gone)
    wrong: list[tuple[Any, str]] = [({"overlap": "soon"}, "/overlap"), ({"x": 1}, "/x")]
    for body, pointer in wrong:
        refused = last("POST", f"/v1/keys/{before['id']}:rotate", body)
        assert (refused.status, refused.json["errors"][0]["pointer"]) == (400, pointer)
    assert last("POST", f"/v1/keys/{before['id']}:rotate", {}).code == "invalid_body"
    assert last("POST", f"/v1/keys/{'0' * 20}:rotate", {}).code == "key_not_found"
    assert last("POST", f"/v1/keys/{before['id']}:turn", {}).code == "method_not_allowed"


# Scopes.


def address(route: Route, collection: str) -> str:
    return route.pattern.format(
        collection=collection, id="r", key="0" * 20, position="0" * 24, receipt="x"
    )


def ask(asking: Asking, route: Route, collection: str) -> Reply:
    body: Any = None
    if route.body is not None:
        body = {"ids": ["r"]} if route.name == "get_records" else {}
        if route.name in ("write_records", "create_key"):
            body = route.body.example
        elif route.name == "aggregate_records":
            body = {"measures": {"n": "count"}}
        elif route.name == "replay_dead_letters":
            body = {"position": "0" * 24}
    return asking(route.method, address(route, collection), body)


@pytest.mark.parametrize("route", ROUTES_OF_COLLECTIONS, ids=lambda one: one.name)
def test_a_route_of_a_collection_needs_its_own_verb_there(stage: Stage, route: Route) -> None:
    name = f"orders-{route.name.replace('_', '-')}"
    stage.operator.put(f"/v1/collections/{name}", {})
    others = " ".join(verb for verb in Verb if verb is not route.verb)
    without = stage.key(scopes=[*scoped(others), *scoped(route.verb, "orders-*x")])
    assert ask(without, route, name).code == "forbidden"
    allowed = ask(stage.key(scopes=scoped(route.verb, "orders-*")), route, name)
    assert allowed.status not in (401, 403), allowed


@pytest.mark.parametrize("route", ROUTES_OF_TENANTS, ids=lambda one: one.name)
def test_keys_and_dead_letters_need_admin_on_all_collections(stage: Stage, route: Route) -> None:
    assert route.verb is Verb.ADMIN
    for scopes in (scoped("read write"), [*scoped("read"), *scoped("admin", "orders-*")]):
        assert ask(stage.key("scoped", scopes), route, "").code == "forbidden"
    assert ask(stage.key("scoped"), route, "").status not in (401, 403)


def test_only_what_one_may_touch_is_listed(stage: Stage) -> None:
    tenant = stage.key("listing")
    for name in ("orders-eu", "orders-us", "people"):
        assert tenant("PUT", f"/v1/collections/{name}", {}).status == 201
    for verb in Verb:
        key = stage.key("listing", scoped(verb, "orders-*"))
        found = key("GET", "/v1/collections").json["collections"]
        assert [one["name"] for one in found] == ["orders-eu", "orders-us"]


def test_a_receipt_is_read_by_who_may_read_its_collection(stage: Stage) -> None:
    tenant = stage.key("receipts")
    tenant("PUT", "/v1/collections/orders", {})
    receipt = tenant("PUT", "/v1/collections/orders/records/a", {}).json["receipt"]
    target = f"/v1/receipts/{receipt}"
    assert stage.key("receipts", scoped("read", "orders"))("GET", target).status == 200
    for scopes in (scoped("write admin", "orders"), scoped("read", "people")):
        assert stage.key("receipts", scopes)("GET", target).code == "forbidden"


# No more than one has.


def test_nobody_gives_more_than_he_has(stage: Stage) -> None:
    rate = {"requests_per_second": 1000.0, "bytes_per_second": 1e6}
    mine = [*scoped("admin"), *scoped("read", "orders-*")]
    key = stage.key("grants", mine, rate=rate)
    less = {"requests_per_second": 10, "bytes_per_second": 1e6}
    for scopes, given, status in (
        (mine, rate, 201),
        (scoped("read", "orders-eu"), less, 201),
        (scoped("read", "orders-*-x"), rate, 201),
        (scoped("read"), rate, 403),
        (scoped("read", "order*"), rate, 403),
        (scoped("read write", "orders-eu"), rate, 403),
        ([*mine, *scoped("write", "a")], rate, 403),
        (mine, {"requests_per_second": 1001, "bytes_per_second": 1e6}, 403),
        (mine, {"requests_per_second": 10}, 403),
        (mine, None, 403),
    ):
        made = key("POST", "/v1/keys", {"name": "k", "scopes": scopes, "rate": given})
        assert made.status == status, (scopes, given)


def test_nobody_rotates_to_himself_what_can_do_more(stage: Stage) -> None:
    stage.key("rotating")
    (more,) = stage.operator("GET", "/v1/keys?tenant=rotating").json["keys"]
    less = stage.key("rotating", scoped("admin"))
    assert less("POST", f"/v1/keys/{more['id']}:rotate", {}).code == "forbidden"
    assert "replaced_by" not in less("GET", f"/v1/keys/{more['id']}").json


def test_only_the_operator_names_another_tenant(stage: Stage) -> None:
    key = stage.key("narrow")
    stage.key("wide")
    (other,) = stage.operator("GET", "/v1/keys?tenant=wide").json["keys"]
    body = {"tenant": "wide", "name": "k", "scopes": EVERYTHING}
    assert key("POST", "/v1/keys", body).code == "forbidden"
    for method, target in (
        ("GET", "/v1/keys?tenant=wide"),
        ("GET", f"/v1/keys/{other['id']}?tenant=wide"),
        ("DELETE", f"/v1/keys/{other['id']}?tenant=wide"),
    ):
        assert key(method, target).code == "forbidden"
    assert key("POST", f"/v1/keys/{other['id']}:rotate?tenant=wide", {}).code == "forbidden"
    assert key("GET", "/v1/keys?tenant=narrow").status == 200
    assert key("GET", "/v1/keys?tenant=NO").code == "invalid_parameter"
    assert stage.operator("GET", f"/v1/keys/{other['id']}?tenant=wide").json == other


# Tenants.


def same(one: Reply, other: Reply) -> bool:
    """Whether two answers are the same but for the request's id and what was asked for."""
    told = [{**reply.json, "request_id": ""} for reply in (one, other)]
    return one.status == other.status and told[0] == told[1]


def test_what_another_tenant_has_is_as_if_it_were_not_there(stage: Stage) -> None:
    mine, theirs = stage.key("mine"), stage.key("theirs")
    mine("PUT", "/v1/collections/secret", {})
    put = mine("PUT", "/v1/collections/secret/records/a?ack=applied", {"n": 1})
    (my_key,) = mine("GET", "/v1/keys").json["keys"]
    for method, there, absent in (
        ("GET", "/v1/collections/secret", "/v1/collections/none"),
        ("DELETE", "/v1/collections/secret", "/v1/collections/none"),
        ("GET", "/v1/collections/secret/records", "/v1/collections/none/records"),
        ("GET", "/v1/collections/secret/records/a", "/v1/collections/none/records/a"),
        ("DELETE", "/v1/collections/secret/records/a", "/v1/collections/none/records/a"),
        ("GET", f"/v1/receipts/{put.json['receipt']}", "/v1/receipts/none"),
        ("GET", f"/v1/keys/{my_key['id']}", f"/v1/keys/{'0' * 20}"),
        ("DELETE", f"/v1/keys/{my_key['id']}", f"/v1/keys/{'0' * 20}"),
    ):
        assert same(theirs(method, there), theirs(method, absent)), (method, there)
        assert theirs(method, there).status in (400, 404)
    assert theirs("GET", "/v1/collections").json == {"collections": []}
    rotated = theirs("POST", f"/v1/keys/{my_key['id']}:rotate", {})
    assert (rotated.status, rotated.code) == (404, "key_not_found")
    assert mine("GET", "/v1/collections/secret/records/a").json["data"] == {"n": 1}


def test_the_same_names_of_two_tenants_are_two_things(stage: Stage) -> None:
    tenants = [stage.key("twin-a"), stage.key("twin-b")]
    answers = []
    for number, key in enumerate(tenants):
        assert key("PUT", "/v1/collections/c", {}).status == 201
        for name in "ab":
            key("PUT", f"/v1/collections/c/records/{name}?ack=applied", {"n": number})
        once = {"Idempotency-Key": "same"}
        answers.append(key("POST", "/v1/collections/c/records", {"n": number}, **once))
    assert [one.status for one in answers] == [202, 202]
    assert answers[0].json["id"] != answers[1].json["id"]
    for number, key in enumerate(tenants):
        for _ in range(2):
            record = key("GET", "/v1/collections/c/records/a")
            assert record.json["data"] == {"n": number}
        shown = {"Penstock-Receipt": answers[number].json["receipt"]}
        listed = key("GET", "/v1/collections/c/records", **shown).json["records"]
        assert [one["data"] for one in listed] == [{"n": number}] * 3
        foreign = {"Penstock-Receipt": answers[1 - number].json["receipt"]}
        assert key("GET", "/v1/collections/c/records/a", **foreign).code == "invalid_receipt"
    page = tenants[0]("GET", "/v1/collections/c/records?page_size=1").json["next_page_token"]
    target = f"/v1/collections/c/records?page_size=1&page_token={page}"
    assert tenants[0]("GET", target).status == 200
    assert tenants[1]("GET", target).code == "invalid_page_token"


# Tokens.


def test_a_token_is_as_good_as_a_key(stage: Stage) -> None:
    operator = stage.key("acme")
    operator("PUT", "/v1/collections/orders-eu", {})
    token = stage.token()
    for _ in range(2):
        assert token("GET", "/v1/collections/orders-eu/records").status == 200
    assert token("PUT", "/v1/collections/orders-eu/records/a", {}).code == "forbidden"
    assert token("GET", "/v1/collections/people/records").code == "forbidden"
    admin = stage.token(scope="admin:* read:*")
    made = admin("POST", "/v1/keys", {"name": "k", "scopes": scoped("read", "orders-*")})
    assert (made.status, made.json["created_by"]) == (201, "token:alice")
    assert admin("POST", "/v1/keys", {"name": "k", "scopes": EVERYTHING}).code == "forbidden"
    assert admin("GET", "/v1/keys?tenant=default").code == "forbidden"


def test_a_token_that_is_not_valid_is_refused_as_no_key_is(stage: Stage) -> None:
    now = time.time()
    foreign = Signer("ES256", "flow")
    wrong = [
        stage.token(aud="other"),
        stage.token(iss="https://other.example"),
        stage.token(exp=now - 60),
        stage.token(nbf=now + 60),
        stage.token(tenant=None),
        stage.with_key(foreign.token(claims(stage.web.url))),
    ]
    bodies = {one("GET", "/v1/collections", **{"X-Request-Id": "same"}).body for one in wrong}
    assert len(bodies) == 1
    assert json.loads(bodies.pop())["code"] == "unauthenticated"


# The audit log.


def test_administrative_actions_are_recorded_and_no_secret_is(stage: Stage) -> None:
    key = stage.key("audited")
    mark = stage.server.log.stat().st_size
    key("PUT", "/v1/collections/c", {}, **{"X-Request-Id": "audit-1"})
    key("DELETE", "/v1/collections/none", **{"X-Request-Id": "audit-2"})
    made = key("POST", "/v1/keys", {"name": 'a"\\b', "scopes": scoped("read")})
    rotated = key("POST", f"/v1/keys/{made.json['id']}:rotate", {})
    key("DELETE", f"/v1/keys/{made.json['id']}")
    key("POST", "/v1/keys", {"tenant": "other", "name": "n\n", "scopes": scoped("read")})
    key("DELETE", f"/v1/dead-letters/{'0' * 24}")
    key("POST", "/v1/dead-letters:replay", {"position": "0" * 24})
    (mine, *_) = key("GET", "/v1/keys").json["keys"]
    text = stage.server.log.read_text()[mark:]
    lines = [json.loads(one) for one in text.splitlines()]
    told = [one for one in lines if one["event"] == "audit"]
    assert [(one["action"], one["target"], one["outcome"]) for one in told] == [
        ("collections.put", "c", "done"),
        ("collections.drop", "none", "collection_not_found"),
        ("keys.create", f"audited/{made.json['id']}", "done"),
        ("keys.rotate", f"audited/{made.json['id']} -> {rotated.json['id']}", "done"),
        ("keys.revoke", f"audited/{made.json['id']}", "done"),
        ("keys.create", "n\n", "invalid_body"),
        ("dead_letters.drop", "0" * 24, "dead_letter_not_found"),
        ("dead_letters.replay", "0" * 24, "dead_letter_not_found"),
    ]
    assert {(one["tenant"], one["key_id"], one["part"]) for one in told} == {
        ("audited", mine["id"], "audit")
    }
    assert [one["request_id"] for one in told[:2]] == ["audit-1", "audit-2"]
    for secret in (key.key, made.json["key"], rotated.json["key"], Server.KEY):
        assert secret not in stage.server.log.read_text()


# The command line.


def test_keys_by_the_command_line(stage: Stage) -> None:
    environment = {"PENSTOCK_URL": stage.server.url, "PENSTOCK_KEY": Server.KEY}

    def type_(*words: str, typed: str = "") -> Any:
        """In this process: nothing here depends on how one begins and ends."""
        return CliRunner(env=environment).invoke(app, ["keys", *words], typed)

    of = ("--tenant", "typed")
    scope = ("--scope", "read,write:orders-*", "--scope", "read:*")
    limits = ("--requests-per-second", "1000", "--expires", "90d")
    made = json.loads(type_("create", "billing", *scope, *limits, *of).stdout)
    assert made["scopes"] == [*scoped("read write", "orders-*"), *scoped("read")]
    assert made["rate"] == {"requests_per_second": 1000.0}
    in_90_days = datetime.now(UTC) + timedelta(days=90)
    assert abs(datetime.fromisoformat(made["expires_at"]) - in_90_days) < timedelta(minutes=1)
    shown = {name: value for name, value in made.items() if name != "key"}
    assert json.loads(type_("list", *of).stdout) == shown
    assert json.loads(type_("get", made["id"], *of).stdout) == shown
    rotated = json.loads(type_("rotate", made["id"], "--overlap", "1d", *of).stdout)
    for one in (made, rotated):
        assert stage.with_key(one["key"])("GET", "/v1/collections").status == 200
    assert type_("revoke", made["id"], *of, typed="n\n").exit_code == 1
    assert stage.with_key(made["key"])("GET", "/v1/collections").status == 200
    assert type_("revoke", made["id"], "--yes", *of).exit_code == 0
    assert stage.with_key(made["key"])("GET", "/v1/collections").status == 401
    gone = type_("get", made["id"], *of)
    assert (gone.exit_code, "key_not_found" in gone.stderr) == (3, True)
    wrong = type_("create", "x", "--scope", "own:*")
    assert (wrong.exit_code, "is no scope" in wrong.stderr) == (2, True)
