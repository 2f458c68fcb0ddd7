"""Why did it fault: the syndrome joined with a walk of the address and a replay of the permission check."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gdbtools.arch.architecture import Architecture, ExceptionRecord
from gdbtools.arch.model import Access, FaultKind, Read, ReadRegister, Refusal, Regime, Walk
from gdbtools.arch.walk import walk
from gdbtools.bits import FieldValue
from gdbtools.errors import Unreadable

TABLE_FAULTS = (FaultKind.TRANSLATION, FaultKind.ACCESS_FLAG, FaultKind.PERMISSION, FaultKind.ADDRESS_SIZE)


class Verdict(enum.Enum):
    """What the tables say of what the hardware refused."""

    TABLES_AGREE = enum.auto()
    """They refuse it, with the same fault at the same level."""
    TABLES_PERMIT = enum.auto()
    """They allow it now: spurious, repaired by somebody else, or a TLB that remembers."""
    TABLES_DIFFER = enum.auto()
    """They refuse it, with another fault."""
    NOT_REPLAYED = enum.auto()
    """They permit what is replayed of it, and the syndrome says that another rule refused."""
    WALK_ABORTED = enum.auto()
    """Memory did not answer when a descriptor was fetched: whatever it would have said, nobody read it."""
    NOT_THE_TABLES = enum.auto()
    """The syndrome is not something that translation tables decide."""

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Aborted:
    """The descriptor whose fetch was aborted: where it is, its level, and whether there is memory now.

    `pa` is None where today's tables lead to no descriptor of that level.
    """

    level: int
    pa: int | None
    readable: bool


@dataclass(frozen=True)
class Diagnosis:
    """The whole evidence of one fault.

    `walk` and `access` are None where the syndrome names no address; `predicted` is what walk and permission check
    refuse now (None: nothing).  `entry` names the vector entry that pc stands at; empty when it stands at none, and
    then the registers describe the last exception, whenever that was.  `controls` decide who sets the access flag;
    `traps` are what trapped the instruction, and `convention` what a call or a breakpoint instruction is for.
    `leads_to` is the intermediate physical address that stage 1's tables give now, for a fault of stage 2 that has one.
    """

    verdict: Verdict
    exception: ExceptionRecord
    entry: str
    access: Access | None = None
    walk: Walk | None = None
    predicted: Refusal | None = None
    controls: Sequence[tuple[str, FieldValue]] = ()
    traps: Sequence[tuple[str, FieldValue]] = ()
    convention: str = ""
    aborted: Aborted | None = None
    leads_to: int | None = None


RegimeFor = Callable[[ReadRegister, int, "str | None"], Regime]


def diagnose(
    architecture: Architecture, register: ReadRegister, read: Read, regime_for: RegimeFor | None = None
) -> Diagnosis:
    """Join the exception registers with a walk of the faulting address.

    `regime_for` is the architecture's own, or stands in for it where many faults share a regime.
    Raises `Unavailable` for a register and `Unreadable` for a table that is not there.
    """
    exception = architecture.exception(register)
    entry = architecture.entry(register)
    syndrome = exception.syndrome
    if syndrome.fault is None or syndrome.access_kind is None or not syndrome.address_valid:
        traps = architecture.trap_controls(exception, register)
        convention = architecture.convention(syndrome, register if entry else None)
        return Diagnosis(Verdict.NOT_THE_TABLES, exception, entry, traps=traps, convention=convention)
    # Registers before memory: a live source switches modes between the two.
    controls = architecture.access_flag_controls(register, exception.regime)
    access = Access(syndrome.access_kind, exception.el)
    regime = (regime_for or architecture.regime_for)(register, exception.address, exception.regime)
    if syndrome.fault.kind is FaultKind.EXTERNAL_ABORT and syndrome.fault.level is not None:
        aborted = _aborted(regime, exception.address, read, syndrome.fault.level)
        return Diagnosis(Verdict.WALK_ABORTED, exception, entry, access, aborted=aborted)
    found = walk(regime, exception.address, read)
    predicted = architecture.check(found, access, exception.state)
    if syndrome.fault.kind not in TABLE_FAULTS:
        verdict = Verdict.NOT_THE_TABLES
    elif predicted is None:
        verdict = Verdict.NOT_REPLAYED if syndrome.other_rules else Verdict.TABLES_PERMIT
    elif predicted.fault == syndrome.fault:
        verdict = Verdict.TABLES_AGREE
    else:
        verdict = Verdict.TABLES_DIFFER
    kinds = {syndrome.fault.kind, predicted.fault.kind if predicted else None}
    return Diagnosis(
        verdict,
        exception,
        entry,
        access,
        found,
        predicted,
        controls=controls if FaultKind.ACCESS_FLAG in kinds else (),
        leads_to=_leads_to(found, exception),
    )


def _aborted(regime: Regime, address: int, read: Read, level: int) -> Aborted:
    """Find the descriptor of the level at which the fetch was aborted, as far as the tables lead there now."""
    try:
        found = walk(regime, address, read)
    except Unreadable as missing:
        return Aborted(level, missing.pa, readable=False)
    steps = [*found.steps, *(found.final.steps if found.final else ())]
    at = next((step.pa for step in steps if step.level.number == level), None)
    return Aborted(level, at, readable=True)


def _leads_to(found: Walk, exception: ExceptionRecord) -> int | None:
    """Give the IPA that stage 1 asks stage 2 for now: of a descriptor where that is refused, else of the output."""
    if exception.ipa is None:
        return None
    if found.fetch is not None:
        return found.fetch.via.input
    return None if found.final is None else found.final.input
