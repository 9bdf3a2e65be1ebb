"""Penstock: JSON records in over HTTP, through a durable log, and back fast."""

__version__ = "0.1.0"
