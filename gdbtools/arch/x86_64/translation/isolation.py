"""Two roots for one process: the upper half of one has next to nothing but what an exception's entry needs.

One register has both halves, so that the code which changes between them loads cr3.  It is not followed here: what an
operating system does is believed for what the tables show alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from gdbtools.addresses import VA
from gdbtools.arch.capabilities import PageTableIsolation
from gdbtools.arch.isolation import Switch, View
from gdbtools.arch.model import ReadRegister, Regime
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.arch.x86_64.translation.linear import Linear
from gdbtools.errors import Unavailable

UPPER = 1 << 63


class TwoRoots(PageTableIsolation):
    """Page-table isolation by cr3: the upper half is reduced while a process runs."""

    few = 1 << 12
    """Each CPU has its descriptor tables and its stacks in it: some forty pages."""

    def range(self, register: ReadRegister, name: str | None = None) -> Regime | None:
        if not register("idtr") & UPPER:
            return None
        *_, upper = regimes.ranges(register, name)
        return upper if isinstance(upper, Linear) and upper.upper else None

    def switch(self, register: ReadRegister, view: View, name: str | None = None) -> Switch | None:  # noqa: ARG002
        raise Unavailable("instructions of x86-64 are not followed here")

    def ways_in(
        self,
        register: ReadRegister,  # noqa: ARG002
        reduced: Mapping[str, int],  # noqa: ARG002
        view: View,  # noqa: ARG002
        first: VA,  # noqa: ARG002
        size_bytes: int,  # noqa: ARG002
    ) -> Mapping[VA, str]:
        """One interrupt descriptor table serves both spaces, so that the entries are the same."""
        return {}
