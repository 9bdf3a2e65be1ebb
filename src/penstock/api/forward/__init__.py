"""From an API process to the services behind it."""

from penstock.api.forward.address import places
from penstock.api.forward.fleet import Fleet
from penstock.api.forward.forwarding import Forwarding

__all__ = ["Fleet", "Forwarding", "places"]
