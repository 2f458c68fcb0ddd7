"""Why did it fault: the syndrome joined with a walk of the address and a replay of the permission check."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.architecture import Architecture, ExceptionRecord
from gdbtools.arch.model import Access, FaultKind, Read, ReadRegister, Refusal, Walk
from gdbtools.arch.walk import walk
from gdbtools.bits import FieldValue

TABLE_FAULTS = (FaultKind.TRANSLATION, FaultKind.ACCESS_FLAG, FaultKind.PERMISSION, FaultKind.ADDRESS_SIZE)


class Verdict(enum.Enum):
    """What the tables say of what the hardware refused."""

    TABLES_AGREE = enum.auto()
    """They refuse it, with the same fault at the same level."""
    TABLES_PERMIT = enum.auto()
    """They allow it now: spurious, repaired by somebody else, or a TLB that remembers."""
    TABLES_DIFFER = enum.auto()
    """They refuse it, with another fault."""
    NOT_THE_TABLES = enum.auto()
    """The syndrome is not something that translation tables decide."""

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Diagnosis:
    """The whole evidence of one fault.

    `walk` and `access` are None where the syndrome names no address; `predicted` is what walk and permission check
    refuse now (None: nothing).  `entry` names the vector entry that pc stands at; empty when it stands at none, and
    then the registers describe the last exception, whenever that was.  `controls` decide who sets the access flag;
    `traps` are what trapped the instruction, and `convention` what a call or a breakpoint instruction is for.
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


def diagnose(architecture: Architecture, register: ReadRegister, read: Read) -> Diagnosis:
    """Join the exception registers with a walk of the faulting address.

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
    regime = architecture.regime_for(register, exception.address, exception.regime)
    found = walk(regime, exception.address, read)
    predicted = architecture.check(found, access, exception.state)
    if syndrome.fault.kind not in TABLE_FAULTS:
        verdict = Verdict.NOT_THE_TABLES
    elif predicted is None:
        verdict = Verdict.TABLES_PERMIT
    elif predicted.fault == syndrome.fault:
        verdict = Verdict.TABLES_AGREE
    else:
        verdict = Verdict.TABLES_DIFFER
    kinds = {syndrome.fault.kind, predicted.fault.kind if predicted else None}
    concerned = controls if FaultKind.ACCESS_FLAG in kinds else ()
    return Diagnosis(verdict, exception, entry, access, found, predicted, concerned)
