"""Accept a write: decode -> validate -> append -> receipt."""

from penstock.ingest.accept import Accepted, Ingest, Write
from penstock.ingest.bulk import Bulk, BulkSummary, Refusal, Result

__all__ = ["Accepted", "Bulk", "BulkSummary", "Ingest", "Refusal", "Result", "Write"]
