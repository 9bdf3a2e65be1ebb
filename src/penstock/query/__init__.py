"""Fetch by id, list, and how fresh an answer has to be."""

from penstock.query.fetch import Found
from penstock.query.page import Page
from penstock.query.query import Query
from penstock.query.settled import Settled

__all__ = ["Found", "Page", "Query", "Settled"]
