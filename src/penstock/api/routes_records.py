"""The routes of records."""

from __future__ import annotations

from typing import Final

from penstock.api import bulk, read, search, write
from penstock.api import parameters as p
from penstock.api.admission import Budget
from penstock.api.messages import (
    Applied,
    BulkDone,
    BulkFailed,
    BulkLine,
    Durable,
    GetRecords,
    GotRecords,
    LineDurable,
    LineRefused,
    Record,
    RecordData,
)
from penstock.api.messages_search import (
    AggregateRecords,
    ExportDone,
    ExportFailed,
    GroupList,
    QueryRecords,
    RecordPage,
)
from penstock.api.route import (
    JSON_TYPES,
    LINE_TYPES,
    PATCH_TYPES,
    Body,
    Reply,
    Role,
    Route,
)
from penstock.records.scope import Verb

_RECORDS: Final = "/v1/collections/{collection}/records"
_RECORD: Final = "/v1/collections/{collection}/records/{id}"

_WRITING: Final = (
    "quarantined",
    "idempotency_in_flight",
    "idempotency_mismatch",
    "log_unavailable",
    "outcome_unknown",
    "backlog_full",
)
_RULES: Final = ("schema_violation", "record_too_large")
_FRESHNESS: Final = ("invalid_receipt", "not_applied_yet", "quarantined")
_SEARCHING: Final = ("invalid_page_token", "index_required", *_FRESHNESS)

_PAGE: Final = Reply(200, "A page.", RecordPage, headers=("Age",))
_DURABLE: Final = Reply(
    202,
    "The write is durable, and will be applied.",
    Durable,
    headers=("Penstock-Receipt",),
)
_APPLIED: Final = Reply(
    200, "The write was waited for, and is applied.", Applied, headers=("Penstock-Receipt", "ETag")
)
_CREATED: Final = Reply(
    201,
    "The write was waited for, and has created the record.",
    Applied,
    headers=("Penstock-Receipt", "ETag"),
)
_RECORD_BODY: Final = Body(
    JSON_TYPES, RecordData, "The record's data.", {"site": "A", "level": 3.5}
)
RECORD_ROUTES: Final = (
    Route(
        "POST",
        _RECORDS,
        write.create,
        name="create_record",
        tag="Records",
        role=Role.INGEST,
        verb=Verb.WRITE,
        summary="Create a record, with an id made for it",
        description="With an Idempotency-Key, the id is made from the key.",
        parameters=(p.ACK, p.PREFER, p.IDEMPOTENCY_KEY),
        body=_RECORD_BODY,
        replies=(_DURABLE, _APPLIED, _CREATED),
        problems=(*_RULES, "record_exists", *_WRITING),
    ),
    Route(
        "PUT",
        _RECORD,
        write.put,
        name="put_record",
        tag="Records",
        role=Role.INGEST,
        verb=Verb.WRITE,
        summary="Create or replace a record",
        parameters=(
            p.ACK,
            p.PREFER,
            p.IDEMPOTENCY_KEY,
            p.IF_MATCH,
            p.IF_ABSENT,
        ),
        body=_RECORD_BODY,
        replies=(_DURABLE, _APPLIED, _CREATED),
        problems=(*_RULES, "record_exists", "precondition_failed", *_WRITING),
    ),
    Route(
        "PATCH",
        _RECORD,
        write.patch,
        name="patch_record",
        tag="Records",
        role=Role.INGEST,
        verb=Verb.WRITE,
        summary="Change a record by a merge patch (RFC 7396)",
        description="The patched record is checked against the schema when the patch is applied.",
        parameters=(
            p.ACK,
            p.PREFER,
            p.IDEMPOTENCY_KEY,
            p.IF_MATCH,
        ),
        body=Body(PATCH_TYPES, RecordData, "What to change; null removes a name.", {"level": None}),
        replies=(_DURABLE, _APPLIED),
        problems=(*_RULES, "record_not_found", "precondition_failed", *_WRITING),
    ),
    Route(
        "DELETE",
        _RECORD,
        write.delete,
        name="delete_record",
        tag="Records",
        role=Role.INGEST,
        verb=Verb.WRITE,
        summary="Delete a record",
        parameters=(
            p.ACK,
            p.PREFER,
            p.IDEMPOTENCY_KEY,
            p.IF_MATCH,
        ),
        replies=(_DURABLE, _APPLIED),
        problems=("invalid_body", "record_not_found", "precondition_failed", *_WRITING),
    ),
    Route(
        "GET",
        _RECORD,
        read.get,
        name="get_record",
        tag="Records",
        role=Role.QUERY,
        summary="Get a record",
        description="`Age` says how many seconds ago this was the truth for certain.",
        parameters=(p.PRESENTED, p.IF_NONE_MATCH, p.FRESH),
        replies=(
            Reply(200, "The record.", Record, headers=("ETag", "Age")),
            Reply(304, "It is still at a version that you have.", headers=("ETag", "Age")),
        ),
        problems=("record_not_found", *_FRESHNESS),
    ),
    Route(
        "GET",
        _RECORDS,
        search.page,
        name="list_records",
        tag="Records",
        role=Role.QUERY,
        summary="List records, page by page",
        description="Every page costs the same, however deep. Without a sort, the order is what "
        "costs least: by id, where there is no filter. Text is in code point order.",
        parameters=(
            p.FILTER,
            p.SORT,
            p.FIELDS,
            p.PAGE_SIZE,
            p.PAGE_TOKEN,
            p.COUNT,
            p.ALLOW_SCAN,
            p.PRESENTED,
            p.FRESH,
        ),
        replies=(_PAGE,),
        problems=("invalid_filter", *_SEARCHING),
        patient=True,
        counts_as=Budget.QUERY,
    ),
    Route(
        "POST",
        f"{_RECORDS}:query",
        search.query,
        name="query_records",
        tag="Records",
        role=Role.QUERY,
        summary="List records, with the query in the body",
        parameters=(p.PRESENTED, p.FRESH),
        body=Body(
            JSON_TYPES,
            QueryRecords,
            "The query.",
            {"filter": {"data.level": {"$gt": 3}}, "sort": "-data.level"},
        ),
        replies=(_PAGE,),
        problems=("invalid_filter", "invalid_parameter", *_SEARCHING),
        patient=True,
        counts_as=Budget.QUERY,
    ),
    Route(
        "POST",
        f"{_RECORDS}:aggregate",
        search.aggregate,
        name="aggregate_records",
        tag="Records",
        role=Role.QUERY,
        summary="Group records, and work out figures over each group",
        parameters=(p.PRESENTED,),
        body=Body(
            JSON_TYPES,
            AggregateRecords,
            "The groups, and the figures.",
            {"group_by": ["data.site"], "measures": {"n": "count", "top": {"max": "data.level"}}},
        ),
        replies=(Reply(200, "The groups.", GroupList),),
        problems=("invalid_filter", "index_required", *_FRESHNESS),
        patient=True,
        counts_as=Budget.QUERY,
    ),
    Route(
        "GET",
        f"{_RECORDS}:export",
        search.export,
        name="export_records",
        tag="Records",
        role=Role.QUERY,
        summary="All records by id, line by line",
        description="A record a line, and a last line. What was cut off goes on after the last id "
        "that came.",
        parameters=(p.FILTER, p.FIELDS, p.AFTER, p.PRESENTED),
        replies=(
            Reply(
                200,
                "One line for each record, and a last one.",
                (Record, ExportDone, ExportFailed),
                media="application/x-ndjson",
            ),
        ),
        problems=("invalid_filter", "invalid_id", *_FRESHNESS),
        patient=True,
        streams=True,
    ),
    Route(
        "POST",
        f"{_RECORDS}:get",
        read.get_many,
        name="get_records",
        tag="Records",
        role=Role.QUERY,
        summary="Get several records by id",
        parameters=(p.PRESENTED, p.FRESH),
        body=Body(JSON_TYPES, GetRecords, "The ids.", {"ids": ["a", "b"]}),
        replies=(Reply(200, "Those found, in the order asked for.", GotRecords),),
        problems=("invalid_id", "answer_too_large", *_FRESHNESS),
        counts_as=Budget.QUERY,
    ),
    Route(
        "POST",
        f"{_RECORDS}:bulk",
        bulk.write_all,
        name="write_records",
        tag="Records",
        role=Role.INGEST,
        verb=Verb.WRITE,
        summary="Write many records, line by line",
        description="One result line for each input line, in their order, while they come; then a "
        "last line. An Idempotency-Key covers each line by its number. Read the results while "
        "sending: a client that does not is stopped once the buffers between are full.",
        parameters=(p.IDEMPOTENCY_KEY,),
        body=Body(LINE_TYPES, BulkLine, "One operation a line.", {"id": "a", "data": {"level": 3}}),
        replies=(
            Reply(
                200,
                "One line for each line, and a last one.",
                (LineDurable, LineRefused, BulkDone, BulkFailed),
                media="application/x-ndjson",
            ),
        ),
        problems=("log_unavailable", "backlog_full"),
        streams=True,
    ),
)
