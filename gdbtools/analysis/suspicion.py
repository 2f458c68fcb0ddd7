"""Why a fault may have been taken that the tables no longer explain, the likeliest first, and what tells them apart.

Only what the architecture allows is suspected.  A TLB holds no entry that itself causes a Translation, Address size or
Access flag fault (DDI 0487, rule R_SQBCS in "Translation Lookaside Buffers"), so after one of those it can only have
kept an old *table*; after a Permission fault, an old leaf.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.analysis.diagnosis import Diagnosis, Verdict
from gdbtools.arch.architecture import ExceptionRecord
from gdbtools.arch.model import FaultKind

PAGE_BYTES = 1 << 12
"""The smallest granule: two faults in one such page are surely about one descriptor."""


class Cause(enum.Enum):
    """What may lie behind a fault that the tables permit."""

    OTHER_EXCEPTION = enum.auto()
    """The registers are of an earlier exception."""
    REPAIRED = enum.auto()
    """Another CPU, or a hypervisor, changed the tables after the fault."""
    STALE_LEAF = enum.auto()
    """A TLB kept an older leaf."""
    STALE_TABLE = enum.auto()
    """A TLB kept an older table, as walks may: it led to a descriptor that is no longer in use."""
    MISSING_BARRIER = enum.auto()
    """The table was written, and the walk did not see it yet."""


@dataclass(frozen=True)
class Suspicion:
    """A cause, and the CPUs whose registers speak for it."""

    cause: Cause
    witnesses: tuple[int, ...] = ()


def suspicions(diagnosis: Diagnosis, elsewhere: Sequence[tuple[int, ExceptionRecord]]) -> tuple[Suspicion, ...]:
    """Rank what may explain a fault that the tables permit; nothing where they refuse it.

    `elsewhere` are (number, exception) of the other CPUs that stand at a vector entry.
    """
    fault = diagnosis.exception.syndrome.fault
    if diagnosis.verdict is not Verdict.TABLES_PERMIT or fault is None:
        return ()
    page = diagnosis.exception.address // PAGE_BYTES
    witnesses = tuple(
        number
        for number, record in elsewhere
        if record.syndrome.fault == fault and record.address // PAGE_BYTES == page
    )
    leaf_first = fault.kind is FaultKind.PERMISSION
    ranked = [Suspicion(Cause.STALE_LEAF)] if leaf_first and not witnesses else []
    ranked.append(Suspicion(Cause.REPAIRED, witnesses))
    ranked += [Suspicion(Cause.STALE_LEAF)] if leaf_first and witnesses else []
    ranked += [Suspicion(Cause.MISSING_BARRIER), Suspicion(Cause.STALE_TABLE)]
    return (*([] if diagnosis.entry else [Suspicion(Cause.OTHER_EXCEPTION)]), *ranked)
