"""Whether the code just before a fault wrote a descriptor of its walk, and what it did to have that seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gdbtools.addresses import VA, moved
from gdbtools.analysis.faults.descriptor_history import steps_of
from gdbtools.analysis.faults.diagnosis import Diagnosis
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.instruction_effects import INSTRUCTIONS, Effect, EffectKind
from gdbtools.arch.model import AccessKind, Mapped, Read, ReadRegister, Step, with_memory
from gdbtools.arch.walk import walk
from gdbtools.errors import GdbtoolsError
from gdbtools.units import PAGE_BYTES


@dataclass(frozen=True)
class Writer:
    """The last store to a descriptor before the access: `step` is the descriptor, the rest came in between.

    `waited` says that there was a barrier for the store, `synchronized` that another followed for what is executed
    next; `invalidations` are the TLB maintenance, the latest first.  `twice` says that the code wrote the descriptor
    before, too.
    """

    store: Effect
    step: Step
    waited: bool
    synchronized: bool
    invalidations: tuple[Effect, ...]
    twice: bool = False

    @property
    def invalidated(self) -> bool | None:
        """Whether what a TLB may have kept is gone; None where an invalidation does not say how far it reaches."""
        reaches = [self.reached_by(each) for each in self.invalidations]
        return True if True in reaches else None if None in reaches else False

    def reached_by(self, invalidation: Effect) -> bool | None:
        """Return whether an invalidation covers what was written; None where it does not say how far it reaches."""
        if not self.step.is_leaf and invalidation.of_tables and invalidation.reaches is False:
            return None
        return invalidation.reaches and (self.step.is_leaf or not invalidation.leaves_only)


def writer(architecture: Architecture, register: ReadRegister, read: Read, diagnosis: Diagnosis) -> Writer | None:
    """Find it; None where the code before the access, or the registers that it had, do not tell of any.

    They do only at the vector entry, where the access came from the level that it is handled at, and was no fetch.
    """
    exception, about, access = diagnosis.exception, diagnosis.walk, diagnosis.access
    if about is None or access is None or access.kind is AccessKind.EXECUTE:
        return None
    if not diagnosis.entry or exception.origin != exception.target or exception.return_address is None:
        return None
    # The regime of the access may be another's: a hypervisor's load as its guest is none of the guest's code.
    regime = architecture.exceptions.regime_of(register, exception.origin)
    return _writer_before(architecture, register, read, exception.return_address, regime, diagnosis)


def remote_writer(
    architecture: Architecture, register: ReadRegister, read: Read, diagnosis: Diagnosis
) -> Writer | None:
    """Find it in the code before another CPU's pc, by that CPU's registers; None where that does not tell of any.

    That its code leads straight to its pc is taken for granted: what speaks for it is that a register of its own leads
    to just this descriptor.
    """
    try:
        pc, level = VA(register(architecture.pc)), architecture.privilege(register)
        regime = architecture.exceptions.regime_of(register, level)
    except GdbtoolsError:
        return None
    return _writer_before(architecture, register, read, pc, regime, diagnosis)


def _writer_before(
    architecture: Architecture, register: ReadRegister, read: Read, end: VA, regime: str, diagnosis: Diagnosis
) -> Writer | None:
    about, register = diagnosis.walk, with_memory(register, read)
    assert about is not None, "there is a walk to explain"
    try:
        code = _code_before(architecture, register, read, end, regime)
        done = tuple(architecture.exceptions.effects(code, end, register, regime, about))
        for position, each in enumerate(done):
            if each.deed is EffectKind.STORE and each.target is not None:
                step = _written(architecture, register, read, VA(each.target), regime, diagnosis)
                if step is not None:
                    if step not in about.steps and about.below is not None:
                        done = tuple(architecture.exceptions.effects(code, end, register, regime, about.below))
                    before = [other.target for other in done[position + 1 :] if other.deed is EffectKind.STORE]
                    return replace(_followed(each, step, done[position::-1]), twice=each.target in before)
    except GdbtoolsError:
        return None
    return None


def _code_before(architecture: Architecture, register: ReadRegister, read: Read, end: VA, regime: str) -> bytes:
    """Return the code before `end`, as far as it is in the same page."""
    found = walk(architecture.regime_for(register, end, regime), end, read)
    outcome = found.outcome
    if not isinstance(outcome, Mapped):
        return b""
    in_page = outcome.address % min(outcome.size_bytes, PAGE_BYTES)
    size_bytes = min(INSTRUCTIONS * architecture.exceptions.longest_instruction_bytes, in_page)
    return read(moved(outcome.address, -size_bytes), size_bytes) if size_bytes else b""


def _written(
    architecture: Architecture, register: ReadRegister, read: Read, target: VA, regime: str, diagnosis: Diagnosis
) -> Step | None:
    """Return the descriptor of the walk that is at a virtual address."""
    assert diagnosis.walk is not None, "there is a walk to explain"
    found = walk(architecture.regime_for(register, target, regime), target, read)
    outcome = found.outcome
    if not isinstance(outcome, Mapped):
        return None
    return next((step for step in steps_of(diagnosis.walk) if step.pa == outcome.address), None)


def _followed(store: Effect, step: Step, since: tuple[Effect, ...]) -> Writer:
    """Look at what came after a store; `since` is that, the earliest first."""
    # What is about leaves alone does nothing for a descriptor that leads to a table.
    deeds = [each.deed for each in since if step.is_leaf or not each.leaves_only]
    waited = EffectKind.WAIT in deeds
    synchronized = waited and EffectKind.SYNCHRONIZE in deeds[deeds.index(EffectKind.WAIT) :]
    invalidations = tuple(
        _as_ordered(each, since[:position])
        for position, each in reversed(tuple(enumerate(since)))
        if each.deed is EffectKind.INVALIDATE
    )
    return Writer(store, step, waited, synchronized, invalidations)


def _as_ordered(invalidation: Effect, before: tuple[Effect, ...]) -> Effect:
    """Return an invalidation as far as it is of the store: some are only of what was waited for."""
    if not invalidation.needs or any(each.deed is EffectKind.WAIT for each in before):
        return invalidation
    return replace(invalidation, reaches=False, instead=f"had no {invalidation.needs} before it")
