"""Log lines: whole JSON objects that know their request, whoever writes them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SCRIPT = """
import asyncio, contextvars, logging, sys
from penstock.telemetry.logs import CURRENT, configure, logger, own_context

configure("info")
log = logger("part")
log.info("before")

async def one(number):
    CURRENT.get().request_id = f"r-{number}"
    await asyncio.create_task(asyncio.sleep(0))
    log.warning("within", value='a"\\n{"event":"forged"}\\r\\u2028')
    log.debug("not_written")

async def all():
    loop = asyncio.get_running_loop()
    await asyncio.gather(*[loop.create_task(one(n), context=own_context()) for n in (1, 2)])

asyncio.run(all())
logging.getLogger("asyncio").error("a library\\nsays %s", "so")
logging.getLogger("asyncio").info("but not this")
log.info("after", request_id="its own")
try:
    raise ValueError("one\\ntwo")
except ValueError:
    log.exception("broken")
"""


def lines() -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        check=True,
    )
    assert done.stderr.isascii()
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_every_line_is_an_object_and_has_the_request_that_it_belongs_to() -> None:
    found = lines()
    assert [(one["event"], one.get("request_id")) for one in found] == [
        ("before", None),
        ("within", "r-1"),
        ("within", "r-2"),
        ("library", None),
        ("after", "its own"),
        ("broken", None),
    ]
    assert found[1]["value"] == 'a"\n{"event":"forged"}\r\u2028'
    assert (found[3]["part"], found[3]["message"]) == ("asyncio", "a library\nsays so")
    assert found[5]["exception"].endswith("ValueError: one\ntwo")
