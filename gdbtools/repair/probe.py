"""Asking the hardware itself: one borrowed load, store or address translation, compared with what the tables say.

A TLB may hold what the tables no longer say, and a load shows it.  A load that faults is returned from by the guest's
own exception return; what cannot be put back is what describes the exception, where the gdbstub only reads it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from gdbtools.addresses import VA, Output
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.gadgets import Borrowable
from gdbtools.arch.model import (
    Access,
    AccessKind,
    ExceptionRecord,
    Fault,
    Mapped,
    Privilege,
    ReadRegister,
    Refusal,
    Walk,
)
from gdbtools.arch.walk import walk
from gdbtools.bits import Word
from gdbtools.errors import Refused, Unavailable
from gdbtools.machine.model import Live, Machine
from gdbtools.repair import run_gadget, tlb
from gdbtools.repair.find_gadget import Loan, find, missing
from gdbtools.repair.tlb import Invalidation


class ProbeVerdict(enum.Enum):
    """What the hardware's answer is to what the tables say."""

    AGREES = enum.auto()
    STALE = enum.auto()
    """The hardware does what the tables refuse."""
    STRICTER = enum.auto()
    """The hardware refuses what the tables allow."""
    ELSEWHERE = enum.auto()
    """Both allow it, and the hardware leads elsewhere."""
    OTHER_FAULT = enum.auto()
    """Both refuse, for different reasons."""


@dataclass(frozen=True)
class ProbePlan:
    """What is borrowed for a probe: the accesses in order, and the exception returns, by level, in case one faults."""

    address: VA
    accesses: Sequence[tuple[Access, Loan]]
    returns: Mapping[Privilege, VA | None]
    translation: bool
    """Whether it is an address translation instruction, which accesses nothing and never faults."""
    invalidation: Invalidation | None
    answered_in: str = ""
    """The register in which such an instruction leaves its answer, and what that is: both by their names."""
    kept: bool = False
    """Whether what an exception overwrites is put back, too."""
    regime: str | None = None
    """Whose accesses they are, where they are not the CPU's own."""


@dataclass(frozen=True)
class Ask:
    """One instruction's answer, and the tables'.

    `raised` is the exception it came to, `fault` what refused it, `found` where an address translation leads.  `value`
    is what a load got, and `expected` what the tables lead to, both None where nobody knows.  `updated` is the
    descriptor, before and after, if the hardware itself wrote it.
    """

    access: Access
    loan: Loan
    walk: Walk
    refused: Refusal | None
    raised: ExceptionRecord | None
    fault: Fault | None
    found: Output | None
    value: int | None
    expected: int | None
    updated: tuple[Word, Word] | None
    lost: ExceptionRecord | None
    """The exception that the registers told of before, if this one overwrote it."""
    left: Sequence[tuple[str, int, int]] = ()
    """What cannot be put back, where everything else is: a register, what it was, and what it is now."""

    @property
    def done(self) -> bool:
        return self.fault is None and self.raised is None

    def _same(self, raised: ExceptionRecord) -> bool:
        return self.refused is not None and raised.syndrome.agrees(self.refused.fault)

    @property
    def verdict(self) -> ProbeVerdict:
        if self.done != (self.refused is None):
            return ProbeVerdict.STALE if self.done else ProbeVerdict.STRICTER
        if self.refused is not None:
            agrees = self.fault == self.refused.fault if self.raised is None else self._same(self.raised)
            return ProbeVerdict.AGREES if agrees else ProbeVerdict.OTHER_FAULT
        elsewhere = None not in (self.value, self.expected) and self.value != self.expected
        if self.found is not None and self.walk.destination is not None:
            elsewhere = self.found != self.walk.destination.address
        return ProbeVerdict.ELSEWHERE if elsewhere else ProbeVerdict.AGREES


def plan(
    machine: Machine,
    address: VA,
    access: Access,
    *,
    translation: bool,
    overwrite: bool,
    invalidate: bool,
    regime: str | None = None,
) -> ProbePlan:
    """Find what a probe borrows; raises `Refused` where it cannot be made without harm.

    With `overwrite` the user has said that nobody needs what describes the last exception, if that cannot be known.
    `regime` names another than the CPU's own, if the access is to be made as there.
    """
    architecture, register, read = machine.architecture, machine.register, machine.memory.read
    used = architecture.regime_for(register, address, regime)
    if not used.levels and (regime is None or used.below is None):
        raise Refused(f"the MMU is off ({used.name}); there is no TLB to ask")
    invalidation = tlb.plan(machine, tlb.scopes_of((address,)), regime) if invalidate else None
    if translation:
        if regime is not None:
            asked_by = architecture.gadgets.words.translation or "a translation without an access"
            raise Refused(f"{asked_by} is of the CPU's own regime; ask as another by an access")
        wanted = [(access, architecture.gadgets.translations(access, address, register))]
    else:
        _refuse_loss(machine, overwrite)
        attributes = walk(used, address, read).attributes
        if attributes is not None and attributes.device:
            raise Refused(f"{address:#x} is {attributes.memory}: an access may have effects; ask by --by at")
        # A store needs to know what to store, so the load comes first.
        kinds = [AccessKind.READ, AccessKind.WRITE] if access.kind is AccessKind.WRITE else [access.kind]
        parts = [replace(access, kind=kind) for kind in kinds]
        wanted = [(part, _candidates(architecture, register, address, part, access, regime)) for part in parts]
    found = find(architecture, register, read, [candidates for _, candidates in wanted])
    accesses: list[tuple[Access, Loan]] = []
    for (part, _), loan in zip(wanted, found.loans, strict=True):
        if loan is None:
            what = (
                f"address translation ({architecture.gadgets.words.translation})"
                if translation
                else f"plain {_NAMES[part.kind]}"
            )
            who = "unprivileged " if part.unprivileged else ""
            otherwise = "ask by a load" if translation else "ask by --by at"
            if regime is not None:
                what, otherwise = f"{_NAMES[part.kind]} as {regime}", f"stop where {regime} is in force, and ask there"
            raise Refused(missing(who + what, found, architecture, register, read, otherwise))
        accesses.append((part, loan))
    _same_size(accesses)
    returns = {} if translation else run_gadget.returns(machine, regime)
    words = architecture.gadgets.words
    answered_in = f"{words.translated}, by {words.translation}" if translation else ""
    kept = bool(architecture.gadgets.overwritten)
    return ProbePlan(address, accesses, returns, translation, invalidation, answered_in, kept, regime)


def _candidates(
    architecture: Architecture, register: ReadRegister, address: VA, part: Access, whole: Access, regime: str | None
) -> Sequence[Borrowable]:
    """Return what makes a part of the whole access, the CPU's own or as another regime's."""
    if regime is None:
        return architecture.gadgets.accesses(part, address, register)
    found = architecture.gadgets.accesses_as(part, address, register, regime)
    # They are rare, and the first one ends the search: any will do, unless a store has to be of the size of its load.
    return found if whole.kind is AccessKind.WRITE else [replace(each, rank=0) for each in found]


_LOADS = (AccessKind.READ, AccessKind.READ_EXECUTABLE)
_NAMES = {AccessKind.READ: "load", AccessKind.WRITE: "store", AccessKind.READ_EXECUTABLE: "load of code"}


def _refuse_loss(machine: Machine, overwrite: bool) -> None:
    claim = machine.architecture.gadgets.claim(machine.register)
    if claim is not None and claim.certain:
        raise Refused(f"{claim.why}: a probe that faults would overwrite them for good; go on until they are saved")
    if claim is not None and not overwrite:
        raise Refused(
            f"{claim.why}: a probe that faults would overwrite them for good; say --overwrite if nobody needs them, "
            "or ask by --by at"
        )


def _same_size(accesses: Sequence[tuple[Access, Loan]]) -> None:
    sizes = {loan.use.size_bytes for _, loan in accesses}
    if len(sizes) > 1:
        raise Refused("the guest has no load and store of one size for this address; ask for --access read")


def ask(machine: Machine, live: Live, planned: ProbePlan) -> Sequence[Ask]:
    """Put the question once, and put every register back; a store is not tried after a load that faulted."""
    asked: list[Ask] = []
    with run_gadget.keeping(machine, live):
        state = machine.architecture.state(machine.register)
        for access, loan in planned.accesses:
            answer = _ask(machine, live, planned, access, _with_value(loan, access, asked), state)
            asked.append(answer)
            if not answer.done:
                break
    return asked


def _with_value(loan: Loan, access: Access, before: Sequence[Ask]) -> Loan:
    """Have a store write back what the load before it got."""
    if access.kind is not AccessKind.WRITE or not before or before[-1].value is None:
        return loan
    return replace(loan, use=replace(loan.use, registers={**loan.use.registers, loan.use.result: before[-1].value}))


def _ask(machine: Machine, live: Live, planned: ProbePlan, access: Access, loan: Loan, state: int) -> Ask:
    architecture, read = machine.architecture, machine.memory.read
    used, met = architecture.regime_for(machine.register, planned.address, planned.regime), access
    if planned.regime is not None:
        used, met = architecture.met_by(used, access, machine.register)
    refuses = partial(architecture.check, access=met, state=state)
    found = walk(used, planned.address, read, refuses)
    refused = architecture.check(found, met, state)
    size_bytes = loan.use.size_bytes
    expected = _expected(machine, found, size_bytes) if access.kind in _LOADS and not refused else None
    lost, before = _exception(machine), _not_put_back(machine)
    raised = run_gadget.step(machine, live, loan, planned.returns)
    asks_only = planned.translation and raised is None
    result = architecture.gadgets.translated(planned.address, machine.register) if asks_only else None
    value = None
    if raised is None and access.kind in _LOADS and loan.use.result:
        value = machine.register(loan.use.result) & (1 << 8 * size_bytes) - 1
    fault = raised.syndrome.fault if raised else result if isinstance(result, Fault) else None
    return Ask(
        access=access,
        loan=loan,
        walk=found,
        refused=refused,
        raised=raised,
        fault=fault,
        found=result if isinstance(result, int) else None,
        value=value,
        expected=expected,
        updated=_updated(found, walk(found.regime, planned.address, read, refuses)),
        lost=lost if raised else None,
        left=[(name, before[name], now) for name, now in _not_put_back(machine).items() if before[name] != now],
    )


def _not_put_back(machine: Machine) -> Mapping[str, int]:
    """Return the registers that an exception overwrites and nobody can write, as far as they are there."""
    found = dict[str, int]()
    for name in machine.architecture.gadgets.left:
        with suppress(Unavailable):
            found[name] = machine.register(name)
    return found


def _expected(machine: Machine, found: Walk, size_bytes: int) -> int | None:
    """Return the bytes that the tables lead to; of more than one byte the order would have to be known."""
    if size_bytes != 1 or not isinstance(found.outcome, Mapped):
        return None
    return int.from_bytes(machine.memory.read(found.outcome.address, size_bytes), "little")


def _exception(machine: Machine) -> ExceptionRecord | None:
    try:
        return machine.exception()
    except Unavailable:
        return None


def _updated(before: Walk, after: Walk) -> tuple[Word, Word] | None:
    for old, new in zip(before.steps, after.steps, strict=False):
        if old.entry.word != new.entry.word:
            return old.entry.word, new.entry.word
    return None
