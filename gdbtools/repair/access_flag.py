"""The software access flag: set AF in the leaf that faulted and, on a true write, record that it is dirty.

Whether TLB maintenance belongs to it is the architecture's to say (`DescriptorRepair.flag_need`).  A walk that races
with the write sees either value, and takes the fault again at worst.
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict
from gdbtools.arch.capabilities import Architecture, DirtyConvention
from gdbtools.arch.model import Access, AccessKind, FaultKind, Level, Refusal, Walk
from gdbtools.arch.walk import walk
from gdbtools.errors import Refused
from gdbtools.machine.layers import Patched
from gdbtools.machine.model import PhysicalMemory
from gdbtools.repair.change import Change


@dataclass(frozen=True)
class AccessFlagPlan:
    """What a repair would write.

    `hardware_should` warns that hardware was told to do it itself, by the field `control`.  `refused_next` is what the
    tables say to the access once its flag is set: a write that is refused makes nothing dirty.
    """

    change: Change
    level: Level
    access: Access
    convention: DirtyConvention
    hardware_should: bool
    refused_next: Refusal | None = None
    control: str = ""
    spurious: str = ""
    """Of a fault that the tables permit by now: why a return from it does not lead to it again; empty for any other."""

    @property
    def sets_dirty(self) -> bool:
        """Whether the entry has a dirty state of its own, which is set with the access flag."""
        before, after = (getattr(each, "D", None) for each in (self.change.before, self.change.after))
        return before != after

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return self.change.before != self.change.after


def settled(diagnosis: Diagnosis) -> bool:
    """Return whether the leaf's flag has been set since the fault: nothing is left to do but to return.

    What the tables say to the access itself does not matter: that is refused after its flag has been looked at, and
    in its own way, once it comes again.
    """
    syndrome, found = diagnosis.exception.syndrome, diagnosis.walk
    fault = syndrome.fault
    if not diagnosis.belongs.joined or fault is None or found is None or FaultKind.ACCESS_FLAG not in syndrome.kinds:
        return False
    if syndrome.not_told_apart and diagnosis.predicted is not None:
        # What refuses it is what the fault was of.
        return False
    flagged = found.attributes is not None and found.attributes.accessed
    return flagged and found.refusal is None and fault.stage == found.regime.stage


def comes_to_nothing(diagnosis: Diagnosis, architecture: Architecture) -> bool:
    """Return whether the tables permit what the current fault was of, and taking it has emptied TLBs of its address."""
    forgets = architecture.exceptions.fault_forgets
    return bool(forgets) and diagnosis.belongs.current and diagnosis.verdict is Verdict.TABLES_PERMIT


def plan_return(diagnosis: Diagnosis, architecture: Architecture, convention: DirtyConvention) -> AccessFlagPlan | None:
    """Plan to return from a fault that is settled, with nothing written; None for any other.

    That is one whose access flag has been set, or which the tables permit where it cannot come of a TLB once more.
    """
    found = diagnosis.walk
    spurious = architecture.exceptions.fault_forgets if comes_to_nothing(diagnosis, architecture) else ""
    if not (spurious or settled(diagnosis)) or found is None or found.leaf is None or diagnosis.access is None:
        return None
    leaf, regime = found.leaf, found.regime
    nothing = Change(leaf.pa, leaf.entry.word, leaf.entry.word, regime.entry_bytes, regime.byte_order)
    return AccessFlagPlan(
        nothing, leaf.level, diagnosis.access, convention, False, diagnosis.predicted, spurious=spurious
    )


def _not_of_one(diagnosis: Diagnosis) -> str:
    """Return why the exception registers do not tell what to repair."""
    belongs, names = diagnosis.belongs, diagnosis.exception.names
    if belongs.interrupt:
        return f"nothing to repair: an {belongs.interrupt} was taken, and {names.syndrome} is of an older exception"
    if belongs.overwritten:
        return f"nothing to repair: the address of the last exception is not known: {belongs.reason}"
    return f"{names.syndrome} and {names.return_address} are not of one exception: {belongs.reason}"


def _refused(found: Walk, predicted: Refusal | None) -> tuple[Walk, Refusal | None]:
    """Return what the tables refuse, and the walk that ends in the leaf that decides: of whichever stage."""
    if predicted is not None and predicted.fault.kind is FaultKind.ACCESS_FLAG:
        of_tables = (found.fetch.via if found.fetch is not None else None, *(step.via for step in found.steps))
        for each in (found, found.final, *of_tables):
            if each is not None and each.leaf is not None and each.leaf.pa == predicted.decider.pa:
                return each, predicted
    return found, found.refused


def plan(
    diagnosis: Diagnosis, architecture: Architecture, convention: DirtyConvention, memory: PhysicalMemory
) -> AccessFlagPlan:
    """Plan the repair of an access-flag fault; anything else raises `Refused` with what it is instead."""
    found, never = diagnosis.walk, architecture.repair.flags_never_fault
    if never and diagnosis.predicted is not None:
        raise Refused(
            f"nothing to repair: {never}, and the tables refuse this access still, so it would fault again; "
            "`mmu fault` explains it"
        )
    if never:
        back = ", `mmu fixup --resume` returns from it" if comes_to_nothing(diagnosis, architecture) else ""
        raise Refused(
            f"nothing to repair: {never}, so no fault is for want of them; `mmu fault` explains this one{back}"
        )
    if diagnosis.verdict is Verdict.NONE_TAKEN:
        raise Refused("nothing to repair: no exception has been taken since reset; stop at one with `mmu catch`")
    if not diagnosis.belongs.joined:
        raise Refused(f"{_not_of_one(diagnosis)}; stop at the next fault with `mmu catch access-flag`")
    if found is None or diagnosis.access is None:
        raise Refused(f"nothing to repair: {diagnosis.exception.syndrome.name} is not an access-flag fault")
    ends, refusal = _refused(found, diagnosis.predicted)
    leaf = ends.leaf
    by_hardware = diagnosis.verdict is Verdict.LEFT_TO_HARDWARE
    if refusal is None and not by_hardware:
        where = f"the tables map {found.input:#x} with its access flag set"
        back = ", `mmu fixup --resume` returns to it" if diagnosis.belongs.current and settled(diagnosis) else ""
        raise Refused(f"nothing to repair: {where}; `mmu fault` says what they refuse, if anything{back}")
    if leaf is None or (refusal is not None and refusal.fault.kind is not FaultKind.ACCESS_FLAG):
        assert refusal is not None, "a walk without a leaf has been refused"
        where = f"walking {found.input:#x} ends in a {refusal.fault.kind.label} fault"
        raise Refused(f"nothing to repair: {where}, not in an access-flag fault; `mmu fault` explains it")
    if diagnosis.verdict is not Verdict.TABLES_AGREE and not by_hardware:
        raise Refused("the syndrome is not of this access-flag fault; `mmu fault` shows both")
    # Reading the tables of the stage above writes nothing.
    written = diagnosis.access.kind is AccessKind.WRITE and ends in (found, found.final)
    regime = ends.regime
    # Which of its bits a kernel uses is said of its own tables, and not of those that are below them.
    convention = convention if ends is found else DirtyConvention.NONE
    after = architecture.repair.set_access_flag(leaf.entry.word, written, convention)
    as_if = Patched(memory, leaf.pa, int(after).to_bytes(regime.entry_bytes, regime.byte_order))
    again = walk(found.regime, found.input, as_if.read)
    refused = again.refused or architecture.check(again, diagnosis.access, diagnosis.exception.state or 0)
    if written and refused is not None:
        # As copy on write has it, or stage 2: the write does not happen, and is not recorded.
        after = architecture.repair.set_access_flag(leaf.entry.word, False, convention)
    change = Change(leaf.pa, leaf.entry.word, after, regime.entry_bytes, regime.byte_order)
    # The first control is what software asked for; that the CPU cannot do it makes it no less odd.
    asked_for = [f"{name}.{each.field.name}" for name, each in diagnosis.controls[:1] if each.value]
    control = "".join(asked_for)
    return AccessFlagPlan(change, leaf.level, diagnosis.access, convention, bool(control), refused, control)
