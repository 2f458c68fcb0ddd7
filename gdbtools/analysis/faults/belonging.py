"""Whether the exception registers belong to one another, and to this very moment.

At the vector entry of an exception that writes them all they do: nothing has run since.  An interrupt writes where it
came from and not what was wrong.  Anywhere else they are what is left of exceptions, and only what they say can show
that they are of one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gdbtools import systems
from gdbtools.analysis.faults.instruction import instruction_at
from gdbtools.analysis.faults.overwritten import may_be_overwritten, overwritten
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import CpuRegisters, ExceptionRecord, Fit, Read, ReadRegister, with_memory
from gdbtools.errors import Unavailable, Unreadable


class BelongingEvidence(enum.Enum):
    """What shows that the syndrome, the addresses and the saved state are of one exception."""

    AT_ENTRY = enum.auto()
    """The CPU is at the vector entry that it was taken at: they are, and it is the current one."""
    INTERRUPT = enum.auto()
    """The CPU is at an interrupt's vector entry: the saved state is the interrupt's, the syndrome is an older one's."""
    FITS = enum.auto()
    """The instruction there is one that raises it; it is the last one, whenever that was."""
    NOT_SHOWN = enum.auto()
    """Nothing that can be read says so, or says otherwise."""
    CONTRADICTS = enum.auto()
    """They cannot be."""
    OVERWRITTEN = enum.auto()
    """The address is not the exception's: the way out to the space in force has used its register since."""


_FROM_FIT = {
    Fit.FITS: BelongingEvidence.FITS,
    Fit.NOT_SHOWN: BelongingEvidence.NOT_SHOWN,
    Fit.CONTRADICTS: BelongingEvidence.CONTRADICTS,
}


@dataclass(frozen=True)
class Belonging:
    """What is known of it: `entry` names the vector entry that the CPU is at, `reason` says what shows it.

    `entry` is empty where it is at none, None where its pc or its vectors are not known: then the registers are of the
    exception that somebody wrote down.  `interrupt` names the kind of interrupt whose entry it is, empty for others.
    """

    evidence: BelongingEvidence
    entry: str | None = ""
    interrupt: str = ""
    reason: str = ""

    @property
    def current(self) -> bool:
        """Whether the registers are of an exception that has just been taken."""
        return self.evidence is BelongingEvidence.AT_ENTRY

    @property
    def last(self) -> bool:
        """Whether something else has run since the exception, so that it is no more than the last one."""
        return not self.current and self.entry is not None and not self.newer_address

    @property
    def newer_address(self) -> bool:
        """Whether the CPU is at the entry of the exception, and its address is a later one's all the same."""
        return self.overwritten and bool(self.entry)

    @property
    def joined(self) -> bool:
        """Whether nothing speaks against their being of one exception."""
        return self.evidence not in (
            BelongingEvidence.INTERRUPT,
            BelongingEvidence.CONTRADICTS,
            BelongingEvidence.OVERWRITTEN,
        )

    @property
    def overwritten(self) -> bool:
        """Whether nothing tells the exception's address any more."""
        return self.evidence is BelongingEvidence.OVERWRITTEN


def belonging(
    architecture: Architecture,
    register: ReadRegister,
    read: Read,
    exception: ExceptionRecord,
    fetch: Read | None = None,
    look_at_entry: bool = True,
    is_reduced: bool | None = None,
) -> Belonging:
    """Return what is known of an exception that a CPU's registers have; `fetch` is as `instruction_at` has it.

    Without `look_at_entry` it goes by the entry alone where the CPU is at one, and reads no instruction.  Whether the
    space in force is a reduced one is found out unless `is_reduced` says it.
    """

    def word() -> int | None:
        at = architecture.exceptions.raised_at(exception)
        return None if at is None else instruction_at(architecture, register, read, exception, at, fetch)

    stands: str | None = ""
    try:
        entry = architecture.exceptions.vector_entry(register)
    except (Unavailable, Unreadable):
        entry, stands = None, None
    if entry is not None and entry.interrupt:
        return Belonging(BelongingEvidence.INTERRUPT, entry.name, entry.interrupt)
    if entry is not None:
        against = architecture.exceptions.fits_entry(exception, entry)
        evidence = BelongingEvidence.CONTRADICTS if against else BelongingEvidence.AT_ENTRY
        if not against and look_at_entry:
            found = word()
            if architecture.exceptions.fits(exception, found).fit is Fit.FITS:
                agreed = architecture.exceptions.fits(exception, found, _still_its(architecture, register))
                if agreed.fit is Fit.CONTRADICTS:
                    against, evidence = agreed.reason, BelongingEvidence.CONTRADICTS
                    evidence = BelongingEvidence.OVERWRITTEN if agreed.of_address else evidence
        return Belonging(evidence, entry.name, reason=against)
    if stands is not None and may_be_overwritten(architecture, register, exception):
        if is_reduced is None:
            from gdbtools.analysis.isolation import isolation  # only there a reduced space is looked for

            is_reduced = isolation(architecture, register, read) is not None
        if is_reduced:
            by = overwritten(architecture, register, exception)
            return Belonging(BelongingEvidence.OVERWRITTEN, stands, reason=by)
    found = word()
    agreed = architecture.exceptions.fits(exception, found)
    if stands is not None and agreed.fit is Fit.FITS:
        elsewhere = _elsewhere(architecture, register, exception, found)
        if elsewhere:
            # The instruction was this one, or not: registers that have changed since tell neither.
            return Belonging(BelongingEvidence.NOT_SHOWN, stands, reason=f"{elsewhere}, as the registers are now")
    return Belonging(_FROM_FIT[agreed.fit], stands, reason=agreed.reason)


def _elsewhere(
    architecture: Architecture, register: ReadRegister, exception: ExceptionRecord, instruction: int | None
) -> str:
    """Return where an instruction that fits leads by its own registers, if that is not the address; else empty."""
    if instruction is None:
        return ""
    agreed = architecture.exceptions.fits(exception, instruction, register)
    return agreed.reason if agreed.fit is Fit.CONTRADICTS else ""


def _still_its(architecture: Architecture, register: ReadRegister) -> ReadRegister:
    """Return registers without those that a system has used on its way to its own vector entry."""
    spent = systems.spent_at_entry(architecture)

    def read(name: str) -> int:
        if name in spent:
            raise Unavailable(f"{name} may have been used since the exception")
        return register(name)

    return with_memory(read, register.read) if isinstance(register, CpuRegisters) else read
