"""Who may do what, and to which collections."""

from penstock.access.access import Access, administer
from penstock.access.keeping import KeyKeeping, Made, Wanted
from penstock.access.limits import Limits, Meter
from penstock.access.principal import Principal
from penstock.access.voucher import Seen, Vouchers

__all__ = [
    "Access",
    "KeyKeeping",
    "Limits",
    "Made",
    "Meter",
    "Principal",
    "Seen",
    "Vouchers",
    "Wanted",
    "administer",
]
