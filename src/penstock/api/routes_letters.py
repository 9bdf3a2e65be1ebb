"""The routes of dead letters."""

from __future__ import annotations

from typing import Final

from penstock.api import letter
from penstock.api import parameters as p
from penstock.api.audit import audited
from penstock.api.messages import DeadLetter, DeadLetterPage, Replay, Replayed
from penstock.api.route import JSON_TYPES, Body, Reply, Route
from penstock.records.scope import Verb

_LETTERS: Final = "/v1/dead-letters"
_LETTER: Final = "/v1/dead-letters/{position}"

LETTER_ROUTES: Final = (
    Route(
        "GET",
        _LETTERS,
        letter.page,
        name="list_dead_letters",
        tag="Dead letters",
        verb=Verb.ADMIN,
        summary="List what could not be applied, and what waits behind it",
        description="By position. A record with dead letters stays as it was before the first.",
        parameters=(p.OF_COLLECTION, p.PAGE_SIZE, p.LETTER_PAGE_TOKEN),
        replies=(Reply(200, "A page.", DeadLetterPage),),
        problems=("invalid_page_token", "invalid_name", "collection_not_found", "forbidden"),
    ),
    Route(
        "GET",
        _LETTER,
        letter.get,
        name="get_dead_letter",
        tag="Dead letters",
        verb=Verb.ADMIN,
        summary="Get a dead letter, with what was to be written",
        replies=(Reply(200, "The letter.", DeadLetter),),
        problems=("forbidden",),
    ),
    Route(
        "POST",
        f"{_LETTERS}:replay",
        audited("dead_letters.replay", letter.replay),
        name="replay_dead_letters",
        tag="Dead letters",
        verb=Verb.ADMIN,
        summary="Apply what waits on a record, in order, as far as that can be done",
        description="Some hundred at a time: while `left` is true and there is no `reason`, ask "
        "again.",
        body=Body(JSON_TYPES, Replay, "Which.", {"position": "000100000000000000000007"}),
        replies=(Reply(200, "What was done.", Replayed),),
        problems=("dead_letter_not_found", "collection_not_found", "forbidden"),
    ),
    Route(
        "DELETE",
        _LETTER,
        audited("dead_letters.drop", letter.drop),
        name="drop_dead_letter",
        tag="Dead letters",
        verb=Verb.ADMIN,
        summary="Remove a dead letter: what it asked for never happens",
        description="What waits behind it may then be replayed without it.",
        replies=(Reply(204, "It is gone.", None),),
        problems=("invalid_body", "forbidden"),
    ),
)
