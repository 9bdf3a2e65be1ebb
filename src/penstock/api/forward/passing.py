"""What every way of passing a request on has in common."""

from __future__ import annotations

from typing import Final

from penstock.access import Seen, Vouchers
from penstock.api.forward.fleet import Fleet
from penstock.api.forward.message import method_of
from penstock.api.request import Request, target_of
from penstock.api.route import Role, Route
from penstock.api.services import Services
from penstock.errors import OutcomeUnknown, PenstockError, Unavailable
from penstock.records.operation import Kind

UNAUTHENTICATED: Final = 401


class Service:
    """The service that a route belongs to, and how we vouch for a request there."""

    def __init__(self, fleet: Fleet, vouchers: Vouchers) -> None:
        self.fleet = fleet
        self._vouchers = vouchers

    async def voucher(self, services: Services, route: Route, request: Request) -> str:
        """What we say of the request, once it is clear that its principal may make it.

        Raises what `Access.target` does.
        """
        seen = born = None
        if "collection" in route.places:
            target = await services.access.target(request.principal, request.collection, route.verb)
            one = target.collection
            seen = Seen(one.name, one.id, one.revision)
        if route.role is Role.INGEST:
            creates = request.method == "POST" and not route.streams
            born = services.ingest.birth(Kind.CREATE if creates else None)
        asked = b"%b %b" % (method_of(request), target_of(request))
        return self._vouchers.sign(request.principal, asked, born, seen)

    def distrusts(self) -> PenstockError:
        """What it says to our voucher is nothing that the client could mend."""
        reason = f"{self.fleet.name} refuses our voucher: differ PENSTOCK_SECRET, or the clocks?"
        return PenstockError("internal", internal=reason)


def nobody(*, writes: bool, sent: bool) -> Unavailable:
    """No process of a service answers; `sent`: one that has had the request is gone."""
    if writes and sent:
        return OutcomeUnknown("the ingest service that was asked is gone")
    if writes:
        detail = "No ingest service answers at the moment; nothing was written."
        return Unavailable("log_unavailable", detail, retry_after=1)
    detail = "No query service answers at the moment."
    return Unavailable("store_unavailable", detail, retry_after=1)
