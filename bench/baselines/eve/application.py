"""Eve as its documentation sets it up for production, on one resource; gunicorn imports `app`."""

from __future__ import annotations

import os

from eve import Eve

_STRING = {"type": "string"}

app = Eve(
    settings={
        "MONGO_URI": os.environ["MONGODB_URL"],
        "MONGO_WRITE_CONCERN": {"w": "majority"},
        "URL_PREFIX": "",
        "RENDERERS": ["eve.render.JSONRenderer"],
        "HATEOAS": False,
        "IF_MATCH": False,
        "BULK_ENABLED": False,
        "RESOURCE_METHODS": ["GET", "POST"],
        "ITEM_METHODS": ["GET"],
        # It checks no more than that there is an object, as the other sides do.
        "DOMAIN": {"records": {"schema": {"id": _STRING}, "allow_unknown": True}},
    }
)
