"""What may be suspected of a fault that the tables permit: causes, their weight, and what speaks for them."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.analysis.faults.descriptor_history import SeenWrite, Sighting
from gdbtools.analysis.faults.diagnosis import Diagnosis
from gdbtools.analysis.faults.writer import Writer
from gdbtools.arch.model import Entry, ExceptionRecord
from gdbtools.units import PAGE_BYTES


class SpuriousCause(enum.Enum):
    """What may lie behind a fault that the tables permit."""

    OTHER_EXCEPTION = enum.auto()
    """The registers are of an earlier exception."""
    REPAIRED = enum.auto()
    """Another CPU, a hypervisor, or this debugger changed the tables after the fault."""
    UNHOOKED = enum.auto()
    """A table was out of the tree for a moment, as some hypervisors have it while it is written."""
    RIGHT_RAISED = enum.auto()
    """A TLB kept the entry as it was before it granted this, for which some architectures owe no invalidation."""
    CACHED_INVALID = enum.auto()
    """A TLB kept the entry as it was before it was made valid, as some architectures allow."""
    STALE_LEAF = enum.auto()
    """A TLB kept an older leaf."""
    FENCED_ELSEWHERE = enum.auto()
    """Another CPU wrote the entry, and had its own TLB forget the old one alone."""
    STALE_TABLE = enum.auto()
    """A TLB kept an older table, as walks may: it led to a descriptor that is no longer in use."""
    MISSING_BARRIER = enum.auto()
    """The table was written, and the walk did not see it yet."""


class Weight(enum.IntEnum):
    """How much speaks for a cause; of two that weigh the same, the order of the kind of fault decides."""

    UNLIKELY = 0
    """Something that was seen speaks against it."""
    POSSIBLE = 1
    """The kind of fault allows it."""
    LIKELY = 2
    """Something that was seen speaks for it."""
    SHOWN = 3
    """The code that ran, or what was seen at this very stop, shows it."""


@dataclass(frozen=True)
class Elsewhere:
    """The last exception of another CPU, and the root of the tables that it was translated by."""

    number: int
    exception: ExceptionRecord
    root: int


@dataclass(frozen=True)
class SeenChange:
    """A descriptor that refused just this when it was last seen, and no longer does.

    `by` is the command of this debugger that changed it, if one did; `here` says that it was seen at this very stop.
    `write` is the guest's own, if a watchpoint stood on the descriptor.
    """

    seen: Sighting
    by: str = ""
    here: bool = False
    write: SeenWrite | None = None


@dataclass(frozen=True)
class RemoteWriter:
    """Another CPU, and the store to a descriptor of the walk that the code before its pc made."""

    number: int
    writer: Writer


@dataclass(frozen=True)
class Pending:
    """The interrupts that a CPU has been sent and not taken."""

    cpu: int
    vectors: Sequence[int]


@dataclass(frozen=True)
class Around:
    """What is known besides the fault itself.

    `alone` says that the source has one CPU by its own account, and it stands where the exception brought it: nobody
    has run since.  `counted` is how many CPUs it has by that account, 0 where it does not say.  `cpu` is the one that
    faulted, `pending` are the interrupts that it has been sent and not taken, None where that is not known.  `near` are
    CPUs of the same tables of whose last fault the address alone is left, which is in the same page.
    """

    elsewhere: Sequence[Elsewhere] = ()
    alone: bool = False
    change: SeenChange | None = None
    writer: Writer | None = None
    remote: RemoteWriter | None = None
    counted: int = 0
    cpu: int = 0
    pending: Pending | None = None
    near: tuple[int, ...] = ()

    @property
    def written_elsewhere(self) -> SeenChange | None:
        """The change that another CPU was seen to make."""
        change = self.change
        return change if change is not None and change.write is not None and change.write.cpu != self.cpu else None


@dataclass(frozen=True)
class Suspicion:
    """A cause, how much speaks for it or against it, and what does.

    `witnesses` are the CPUs that had the same fault; `change` is one that was seen; `writer` is in the code before the
    access, `remote` in that of another CPU; `alone`, `near` and `pending` as in `Around`; `levels` are those of the
    fault and of what permits it, where they disagree.
    """

    cause: SpuriousCause
    weight: Weight = Weight.POSSIBLE
    witnesses: tuple[int, ...] = ()
    change: SeenChange | None = None
    writer: Writer | None = None
    alone: bool = False
    levels: tuple[int, int] | None = None
    remote: RemoteWriter | None = None
    near: tuple[int, ...] = ()
    pending: Pending | None = None


def was(diagnosis: Diagnosis, seen: Sighting) -> tuple[Entry, Entry] | None:
    """Return what an entry of the walk was when it was seen, and what it is; None for one that is not of it."""
    found = diagnosis.walk
    for each in (found, found and found.final):
        for step in each.steps if each else ():
            if each is not None and step.pa == seen.pa:
                raw = seen.value.to_bytes(each.regime.entry_bytes, each.regime.byte_order)
                return each.regime.decode(raw, step.level), step.entry
    return None


def witnesses(diagnosis: Diagnosis, elsewhere: Sequence[Elsewhere]) -> tuple[int, ...]:
    """Return the CPUs whose last exception was the same fault in the same page of the same tables."""
    fault, page = diagnosis.exception.syndrome.fault, diagnosis.exception.address // PAGE_BYTES
    root = diagnosis.walk.regime.root if diagnosis.walk else None
    return tuple(
        each.number
        for each in elsewhere
        if each.exception.syndrome.fault == fault and each.exception.address // PAGE_BYTES == page and each.root == root
    )
