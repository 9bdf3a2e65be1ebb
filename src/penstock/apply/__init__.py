"""The worker: poll -> fold -> persist -> refresh the cache -> commit (DESIGN.md, section 6)."""

from penstock.apply.worker import Worker

__all__ = ["Worker"]
