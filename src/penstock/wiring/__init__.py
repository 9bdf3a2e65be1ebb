"""Configuration -> running parts. Only `engines` imports adapters."""

from penstock.wiring.engines import Engines, close, open_engines
from penstock.wiring.house import Announce, Parts, parts, serve, work

__all__ = ["Announce", "Engines", "Parts", "close", "open_engines", "parts", "serve", "work"]
