"""Why did it fault: the syndrome joined with a walk of the address and a replay of the permission check."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial

from gdbtools import systems
from gdbtools.addresses import IPA, PA, Input
from gdbtools.analysis.faults.belonging import Belonging, belonging
from gdbtools.analysis.faults.instruction import instruction_at
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import (
    Access,
    AccessKind,
    ExceptionRecord,
    Fault,
    FaultKind,
    Read,
    ReadRegister,
    Refusal,
    Regime,
    Shown,
    Syndrome,
    TrappedOperand,
    Walk,
    with_memory,
)
from gdbtools.arch.walk import Refuses, walk
from gdbtools.bits import FieldValue
from gdbtools.errors import GdbtoolsError, Unavailable, Unreadable
from gdbtools.wording import name_of

TABLE_FAULTS = (
    FaultKind.TRANSLATION,
    FaultKind.ACCESS_FLAG,
    FaultKind.PERMISSION,
    FaultKind.ADDRESS_SIZE,
    FaultKind.PAGE,
    FaultKind.ACCESS,
    FaultKind.RESERVED_BIT,
    FaultKind.PROTECTION_KEY,
    FaultKind.DOMAIN,
)
"""What a walk and a check can refuse, or a syndrome say that they did."""


class Verdict(enum.Enum):
    """What the tables say of what the hardware refused."""

    TABLES_AGREE = enum.auto()
    """They refuse it, with the same fault at the same level."""
    TABLES_PERMIT = enum.auto()
    """They allow it now: spurious, repaired by somebody else, or a TLB that remembers."""
    LEFT_TO_HARDWARE = enum.auto()
    """It was refused for a clear access flag that, as the registers are now, hardware sets."""
    TABLES_DIFFER = enum.auto()
    """They refuse it, with another fault."""
    NOT_REPLAYED = enum.auto()
    """They permit what is replayed of it, and the syndrome says that another rule refused."""
    WALK_ABORTED = enum.auto()
    """Memory did not answer when a descriptor was fetched: whatever it would have said, nobody read it."""
    ACCESS_ABORTED = enum.auto()
    """Memory, or a device, did not answer the access itself, where the tables lead, or did not permit it."""
    NOT_THE_TABLES = enum.auto()
    """The syndrome is not something that translation tables decide."""
    INTERRUPT = enum.auto()
    """An interrupt has been taken; where it has no syndrome, what there is is of an older exception."""
    NOT_ONE_EXCEPTION = enum.auto()
    """The syndrome is not of the state or of the address beside it, so that nobody knows what to replay."""
    NONE_TAKEN = enum.auto()
    """The registers are as after reset: there has been no exception."""

    @property
    def label(self) -> str:
        return name_of(self)


def left_to_software(controls: Sequence[tuple[str, FieldValue]]) -> bool:
    """Return whether nobody has asked hardware to set access flags, and nothing that is known forbids it.

    `controls` are an architecture's of it, the one by which software asks first.
    """
    return bool(controls) and not controls[0][1].value and all(allowed.value for _, allowed in controls[1:])


@dataclass(frozen=True)
class Aborted:
    """The descriptor whose fetch was aborted: where it is, its level, and whether the source can read it now.

    `pa` is None where today's tables lead to no descriptor of that level; `so_far` is the walk up to there.
    """

    level: int
    pa: PA | None
    readable: bool
    so_far: Walk


@dataclass(frozen=True)
class Diagnosis:
    """The whole evidence of one fault.

    `walk` and `access` are None where the syndrome names no address; `predicted` is what walk and permission check
    refuse now (None: nothing).  `belongs` says whether the registers are of one exception, and of the current one: at
    no vector entry they describe the last one, whenever that was.  `controls` decide who sets the access flag;
    `traps` are what trapped the instruction, `convention` what a call or a breakpoint instruction is for, and `operand`
    what a trapped one was handed, at the vector entry alone.
    `shown` is what the fault shows of a control that is not known.
    `leads_to` is the intermediate physical address that stage 1's tables give now, for a fault of stage 2 that has one.
    `access` is what was replayed; where only the instruction tells that it is checked as a user's, or which cache
    maintenance it was, it was looked at.  `inferred` says that it could not be, and that the refusal itself tells.
    """

    verdict: Verdict
    exception: ExceptionRecord
    belongs: Belonging
    access: Access | None = None
    walk: Walk | None = None
    predicted: Refusal | None = None
    controls: Sequence[tuple[str, FieldValue]] = ()
    traps: Sequence[tuple[str, FieldValue]] = ()
    convention: str = ""
    operand: TrappedOperand | None = None
    aborted: Aborted | None = None
    leads_to: IPA | None = None
    shown: Shown | None = None
    inferred: bool = False

    @property
    def hardware_could(self) -> bool:
        """Whether it is left to software to set the flag, and hardware could, for all that is known."""
        fault = self.exception.syndrome.fault
        return fault is not None and fault.stage == 1 and left_to_software(self.controls)

    @property
    def entry(self) -> str | None:
        """The vector entry at which it has just been taken, empty where the CPU is at none, None where nobody knows."""
        return self.belongs.entry if self.belongs.current or self.belongs.entry is None else ""


RegimeFor = Callable[[ReadRegister, Input, "str | None"], Regime]


def diagnose(
    architecture: Architecture,
    register: ReadRegister,
    read: Read,
    regime_for: RegimeFor | None = None,
    fetch: Read | None = None,
    is_reduced: bool | None = None,
) -> Diagnosis:
    """Join the exception registers with a walk of the faulting address.

    `regime_for` is the architecture's own, or stands in for it where many faults share a regime.  `read` reads tables;
    instructions too, unless `fetch` is what does.  `is_reduced` says of the space in force what is known already.
    Raises `Unavailable` for a register and `Unreadable` for a table that is not there.
    """
    register = with_memory(register, read)
    # Where many are repaired in a row, each is as its tables say, and an instruction would cost as much as a walk.
    alone = regime_for is None
    if alone:
        register = replace(register, read_register=cache(register.read_register))
    exception = architecture.exceptions.record(register)
    if alone:
        _ask_registers(architecture, register, exception)
    belongs = belonging(architecture, register, read, exception, fetch, look_at_entry=alone, is_reduced=is_reduced)
    syndrome = exception.syndrome
    if systems.untaken(architecture, exception):
        return Diagnosis(Verdict.NONE_TAKEN, exception, belongs)
    if not belongs.joined:
        return _apart(architecture, register, read, exception, belongs)
    if syndrome.interrupt:
        return Diagnosis(Verdict.INTERRUPT, exception, belongs)
    if syndrome.fault is None or syndrome.access_kind is None or not syndrome.address_valid:
        traps = architecture.exceptions.trap_controls(exception, register)
        convention = systems.convention(architecture, syndrome, register if belongs.current else None)
        operand = architecture.exceptions.operand(exception, register) if belongs.current else None
        return Diagnosis(
            Verdict.NOT_THE_TABLES, exception, belongs, traps=traps, convention=convention, operand=operand
        )
    # Registers before memory: a live source switches modes between the two.
    stage = (exception.second_stage if syndrome.fault.stage == 2 else "") or exception.regime
    controls = architecture.repair.access_flag_controls(register, stage) if architecture.has("repair") else ()
    access = Access(syndrome.access_kind, exception.asked)
    state = exception.state or 0
    name, address = exception.regime, exception.address
    regime = (regime_for or architecture.regime_for)(register, address, name)
    if syndrome.fault.kind is FaultKind.EXTERNAL_ABORT and syndrome.fault.level is not None:
        aborted = _aborted(regime, address, read, syndrome.fault)
        return Diagnosis(Verdict.WALK_ABORTED, exception, belongs, access, aborted=aborted)
    refuses = partial(architecture.check, access=access, state=state)
    found, shown = _walked(architecture, register, read, exception, regime, address, refuses)
    predicted = architecture.check(found, access, state)
    inferred = False
    if _may_be_unprivileged(syndrome.fault, access, predicted):
        as_user = replace(access, unprivileged=True)
        refused = architecture.check(found, as_user, state)
        word = _instruction(architecture, register, read, exception, fetch) if refused != predicted else None
        if word is not None and architecture.exceptions.is_unprivileged(word):
            access, predicted = as_user, refused
    if predicted is None or not _agrees(syndrome, predicted.fault, found):
        shown = architecture.exceptions.shown_by(syndrome.fault, found, access, exception.state, register)
        predicted = shown.refusal if shown else predicted
    if predicted is None and syndrome.fault.kind is FaultKind.PERMISSION and not syndrome.other_rules:
        if access.kind is AccessKind.MAINTENANCE:
            word = _instruction(architecture, register, read, exception, fetch)
            # Of a kind that nobody saw: no other would have been refused.
            kind = AccessKind.CLEAN_INVALIDATION if word is None else architecture.exceptions.maintenance(word)
            as_it_was = replace(access, kind=kind)
            predicted = architecture.check(found, as_it_was, state)
            access, inferred = (access, False) if predicted is None else (as_it_was, word is None)
        else:
            predicted = architecture.may_refuse(found, access)
    if syndrome.fault.kind is FaultKind.EXTERNAL_ABORT or (
        syndrome.fault.kind is FaultKind.ACCESS and predicted is None
    ):
        verdict = Verdict.ACCESS_ABORTED
    elif syndrome.fault.kind not in TABLE_FAULTS:
        verdict = Verdict.NOT_THE_TABLES
    elif shown is None and _left_to_hardware(syndrome, found, predicted):
        verdict = Verdict.LEFT_TO_HARDWARE
    elif predicted is None:
        verdict = Verdict.NOT_REPLAYED if syndrome.other_rules else Verdict.TABLES_PERMIT
    elif _agrees(syndrome, predicted.fault, found):
        verdict = Verdict.TABLES_AGREE
    else:
        verdict = Verdict.TABLES_DIFFER
    kinds = {syndrome.fault.kind, predicted.fault.kind if predicted else None}
    return Diagnosis(
        verdict,
        exception,
        belongs,
        access,
        found,
        predicted,
        controls=controls if FaultKind.ACCESS_FLAG in kinds or verdict is Verdict.LEFT_TO_HARDWARE else (),
        leads_to=_leads_to(found, exception),
        shown=shown,
        inferred=inferred,
    )


def _walked(
    architecture: Architecture,
    register: ReadRegister,
    read: Read,
    exception: ExceptionRecord,
    regime: Regime,
    address: Input,
    refuses: Refuses,
) -> tuple[Walk, Shown | None]:
    """Walk the address; where the first descriptor is not there, a fault may still show that it was never fetched."""
    try:
        return walk(regime, address, read, refuses), None
    except Unreadable:
        fault, kind = exception.syndrome.fault, exception.syndrome.access_kind
        assert fault is not None
        assert kind is not None
        unfetched = Walk(address, regime, (), None)
        shown = architecture.exceptions.shown_by(
            fault, unfetched, Access(kind, exception.target), exception.state or 0, register
        )
        if shown is None:
            raise
        return replace(unfetched, refusal=shown.refusal), shown


def _apart(
    architecture: Architecture, register: ReadRegister, read: Read, exception: ExceptionRecord, belongs: Belonging
) -> Diagnosis:
    """Return what can be said of a syndrome whose saved state is another's: no more than where its address leads now.

    Syndrome and address are written together.  Who asked for it, and with what rights, only the state would say.
    """
    if belongs.interrupt:
        return Diagnosis(Verdict.INTERRUPT, exception, belongs)
    syndrome = exception.syndrome
    if belongs.overwritten or syndrome.fault is None or not syndrome.address_valid or syndrome.from_lower is None:
        return Diagnosis(Verdict.NOT_ONE_EXCEPTION, exception, belongs)
    name = architecture.exceptions.regime_of(
        register, architecture.privileges[0] if syndrome.from_lower else exception.target
    )
    try:
        found = walk(architecture.regime_for(register, exception.address, name), exception.address, read)
    except (Unavailable, Unreadable):
        return Diagnosis(Verdict.NOT_ONE_EXCEPTION, exception, belongs)
    return Diagnosis(Verdict.NOT_ONE_EXCEPTION, exception, belongs, walk=found, predicted=found.refused)


def _agrees(syndrome: Syndrome, fault: Fault, found: Walk) -> bool:
    """Return whether a syndrome is of the fault that a walk came to, at whichever level that is reported."""
    return syndrome.agrees(fault) or syndrome.agrees(level_of_lookup(fault, found))


def _left_to_hardware(syndrome: Syndrome, found: Walk, predicted: Refusal | None) -> bool:
    """Return whether a fault is of a clear access flag that the tables leave to hardware.

    Where its controls say that hardware sets the flag, a walk does not refuse such a leaf; what refuses it otherwise is
    what a syndrome is of that does not tell the two apart.
    """
    if syndrome.not_told_apart and predicted is not None:
        return False
    if found.refusal is not None or found.leaf is None or found.attributes is None:
        return False
    expected = Fault(FaultKind.ACCESS_FLAG, found.regime.stage, found.leaf.level.number)
    return not found.attributes.accessed and syndrome.agrees(expected)


def _ask_registers(architecture: Architecture, register: ReadRegister, exception: ExceptionRecord) -> None:
    """Ask for the registers that are needed once memory has been read: a live source switches modes between the two."""
    for name in architecture.identity.status.names:
        with suppress(GdbtoolsError):
            register(name)
    with suppress(GdbtoolsError):
        architecture.regime_for(register, exception.address, exception.regime)


def level_of_lookup(fault: Fault, found: Walk) -> Fault:
    """Return a fault on the fetch of a descriptor with the level of that descriptor, as QEMU 7.2 reports it.

    The manual has the level at which stage 2 refused: the walk of stage 1 gives stage 2's fault unchanged.
    """
    return replace(fault, level=found.fetch.level.number) if found.fetch else fault


def _may_be_unprivileged(fault: Fault, access: Access, predicted: Refusal | None) -> bool:
    """Return whether who asks makes a difference: where the privileged level may, or may not for the user's sake."""
    if access.kind not in (AccessKind.READ, AccessKind.WRITE) or fault.kind not in TABLE_FAULTS:
        return False
    return predicted is None or predicted.decider.cause.is_for_users_sake


def _instruction(
    architecture: Architecture, register: ReadRegister, read: Read, exception: ExceptionRecord, fetch: Read | None
) -> int | None:
    """Return the instruction itself, for what no syndrome says; None where it cannot be read."""
    at = exception.return_address
    return None if at is None else instruction_at(architecture, register, read, exception, at, fetch)


def _aborted(regime: Regime, address: Input, read: Read, fault: Fault) -> Aborted:
    """Find the descriptor of the level at which the fetch was aborted, as far as the tables lead there now.

    What cannot be read counts as an invalid descriptor: the walk ends there, with its place known.  Where both stages
    have the level, the one that cannot be read is meant; else the one that the syndrome names.
    """
    missing: list[PA] = []

    def read_or_nothing(pa: PA, size_bytes: int) -> bytes:
        try:
            return read(pa, size_bytes)
        except Unreadable:
            missing.append(pa)
            return bytes(size_bytes)

    found = walk(regime, address, read_or_nothing)
    second = found.below
    stages = [found, *([second] if second else [])]
    places = [(each, step) for each in stages for step in each.steps if step.level.number == fault.level]
    places.sort(key=lambda place: (place[1].pa not in missing, place[0].regime.stage != fault.stage))
    assert fault.level is not None, "an abort on a walk has a level"
    if not places:
        return Aborted(fault.level, None, True, Walk(address, regime, found.steps, None))
    of, at = places[0]
    before = of.steps[: of.steps.index(at)]
    return Aborted(fault.level, at.pa, at.pa not in missing, Walk(of.input, of.regime, before, None))


def _leads_to(found: Walk, exception: ExceptionRecord) -> IPA | None:
    """Return the IPA that stage 1 asks stage 2 for now: of a descriptor where that is refused, else of the output."""
    if exception.ipa is None and not exception.ipa_unknown:
        return None
    if found.fetch is not None:
        return IPA(found.fetch.via.input)
    return None if found.final is None else IPA(found.final.input)
