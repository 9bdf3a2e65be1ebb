"""The worker: poll -> fold -> persist -> refresh the cache -> commit (DESIGN.md, section 6)."""

from penstock.apply.quarantine import Quarantine
from penstock.apply.worker import Worker

__all__ = ["Quarantine", "Worker"]
