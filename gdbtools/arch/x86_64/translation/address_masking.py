"""Linear-address masking: upper bits of a data address that are no part of it.

Source: Intel SDM volume 3, "Linear-Address Masking": "Definition of LAM", "Treatment of Data Accesses with LAM Active".
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.addresses import VA, Input

_FULL = (1 << 64) - 1
_SIGN = 63


@dataclass(frozen=True)
class Masking:
    """Up to which bit an address of either half is itself; None where that half is not masked."""

    user: int | None
    supervisor: int | None

    def translated(self, address: Input) -> VA:
        """Return an address with its masked bits made those of its highest one; one that fails the check as it is."""
        upper = address >> _SIGN & 1
        sign = self.supervisor if upper else self.user
        # Bit 63 says whose it is, and has to be the same as the highest that counts.
        if sign is None or address >> sign & 1 != upper:
            return VA(address)
        kept = (2 << sign) - 1
        return VA(address & kept | (_FULL & ~kept if upper else 0))
