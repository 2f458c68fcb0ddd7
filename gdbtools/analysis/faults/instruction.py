"""The instruction that an exception is about, as the tables lead to it now."""

from __future__ import annotations

from gdbtools.addresses import PA, VA, moved
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import ExceptionRecord, Mapped, Read, ReadRegister, Walk
from gdbtools.arch.walk import walk
from gdbtools.errors import GdbtoolsError
from gdbtools.units import PAGE_BYTES


def instruction_at(
    architecture: Architecture,
    register: ReadRegister,
    read: Read,
    exception: ExceptionRecord,
    address: VA,
    fetch: Read | None = None,
) -> int | None:
    """Return the instruction at `address`, where the exception was taken from; None where it cannot be read.

    `read` reads tables; code too, unless `fetch` is what does.

    One that has been executed has been mapped: that its page's access flag is clear now is no reason not to look.
    """
    try:
        level = exception.target if exception.origin is None else exception.origin
        regime = architecture.exceptions.regime_of(register, level)
        found = b""
        while (wanted := architecture.exceptions.instruction_bytes(found)) > len(found):
            at = moved(address, len(found))
            pa = _leads_to(walk(architecture.regime_for(register, at, regime), at, read))
            if pa is None:
                return None
            # What crosses into the next page is wherever that leads.
            found += (fetch or read)(pa, min(wanted - len(found), PAGE_BYTES - at % PAGE_BYTES))
    except GdbtoolsError:
        return None
    return int.from_bytes(found[:wanted], "little")


def _leads_to(found: Walk) -> PA | None:
    outcome = found.outcome
    if isinstance(outcome, Mapped):
        return outcome.address
    if found.regime.below is not None or found.destination is None:
        return None
    return PA(found.destination.address)
