"""Configuration -> running parts. Adapters are imported here only, each where it is asked for."""

from penstock.api.route import Role
from penstock.wiring.applying import work
from penstock.wiring.engines import Engines, close, open_engines
from penstock.wiring.house import Announce, apply, serve
from penstock.wiring.parts import Parts, parts

__all__ = [
    "Announce",
    "Engines",
    "Parts",
    "Role",
    "apply",
    "close",
    "open_engines",
    "parts",
    "serve",
    "work",
]
