"""Fetch by id, list, and how fresh an answer has to be."""

from penstock.query.fetch import Found
from penstock.query.page import Page, Search
from penstock.query.project import Projection
from penstock.query.query import Query
from penstock.query.settled import Settled

__all__ = ["Found", "Page", "Projection", "Query", "Search", "Settled"]
