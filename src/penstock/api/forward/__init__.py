"""From an API process to the services behind it."""

from penstock.api.forward.fleet import Fleet, places
from penstock.api.forward.forwarding import Forwarding

__all__ = ["Fleet", "Forwarding", "places"]
