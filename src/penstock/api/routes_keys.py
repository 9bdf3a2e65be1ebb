"""The routes of keys."""

from __future__ import annotations

from typing import Final

from penstock.api import key
from penstock.api import parameters as p
from penstock.api.audit import audited
from penstock.api.messages_keys import KeyMade, KeyPage, KeyView, NewKey, Rotation
from penstock.api.route import JSON_TYPES, Body, Reply, Route
from penstock.records.scope import Verb

_KEYS: Final = "/v1/keys"
_KEY: Final = "/v1/keys/{key}"

KEY_ROUTES: Final = (
    Route(
        "POST",
        _KEYS,
        audited("keys.create", key.create),
        name="create_key",
        tag="Keys",
        verb=Verb.ADMIN,
        summary="Make a key",
        description="`key` in the answer is the key itself; it is shown this once, and only a "
        "digest of it is kept. Where the answer was lost, the key is listed all the same, and can "
        "be revoked. No key is given more than the one that asks for it has.",
        body=Body(
            JSON_TYPES,
            NewKey,
            "The key to be made.",
            {
                "name": "billing",
                "scopes": [{"collections": "orders-*", "verbs": ["read", "write"]}],
            },
        ),
        replies=(Reply(201, "The key.", KeyMade, headers=("Location",)),),
        problems=("forbidden", "outcome_unknown"),
    ),
    Route(
        "GET",
        _KEYS,
        key.page,
        name="list_keys",
        tag="Keys",
        verb=Verb.ADMIN,
        summary="List the keys of a tenant",
        description="Those that expired more than 30 days ago are gone.",
        parameters=(p.OF_TENANT, p.PAGE_SIZE, p.KEY_PAGE_TOKEN),
        replies=(Reply(200, "A page.", KeyPage),),
        problems=("invalid_page_token", "forbidden"),
    ),
    Route(
        "GET",
        _KEY,
        key.get,
        name="get_key",
        tag="Keys",
        verb=Verb.ADMIN,
        summary="Get a key, but for the key itself",
        parameters=(p.OF_TENANT,),
        replies=(Reply(200, "The key.", KeyView),),
        problems=("forbidden",),
    ),
    Route(
        "DELETE",
        _KEY,
        audited("keys.revoke", key.revoke),
        name="revoke_key",
        tag="Keys",
        verb=Verb.ADMIN,
        summary="Revoke a key",
        description="In the process that answers at once, in all others within 5 seconds. While "
        "the store cannot be reached, nothing is revoked, and the answer says so.",
        parameters=(p.OF_TENANT,),
        replies=(Reply(204, "It is gone.", None),),
        problems=("invalid_body", "forbidden", "outcome_unknown"),
    ),
    Route(
        "POST",
        f"{_KEY}:rotate",
        audited("keys.rotate", key.rotate),
        name="rotate_key",
        tag="Keys",
        verb=Verb.ADMIN,
        summary="Make a key in the place of another, which stays valid for a while",
        description="The new one has the name, scopes and rate of the old one, and is shown this "
        "once.",
        parameters=(p.OF_TENANT,),
        body=Body(JSON_TYPES, Rotation, "For how long.", {"overlap": "1h"}),
        replies=(Reply(201, "The new key.", KeyMade, headers=("Location",)),),
        problems=("forbidden", "outcome_unknown"),
    ),
)
