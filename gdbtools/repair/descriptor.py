"""Changing fields of descriptors: what each change needs while TLBs may hold the old, and the ways to make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import VA, Input
from gdbtools.arch.gadgets import FieldChange, Need
from gdbtools.arch.model import Access, AccessKind, Attributes, EntryKind, Read, Step, Walk
from gdbtools.arch.walk import walk
from gdbtools.bits import Word
from gdbtools.errors import Refused, UsageError
from gdbtools.machine.layers import Patched
from gdbtools.machine.model import Live, Machine
from gdbtools.repair import hardware_flags, run_gadget, tlb
from gdbtools.repair.change import Change
from gdbtools.repair.log import Log, Repair, Way
from gdbtools.repair.tlb import Invalidation
from gdbtools.spelling import with_field

WHOLE = "descriptor"
"""The name that stands for all bits of a descriptor, where a field is to be named."""


@dataclass(frozen=True)
class DescriptorPlan:
    """What would be written to one descriptor, field by field."""

    walk: Walk
    step: Step
    change: Change
    fields: Sequence[FieldChange]
    then: Walk
    """The walk as it would be."""

    @property
    def opens(self) -> bool:
        """Whether the user gets at what is mapped already, and was not the user's."""
        before, after = self.walk.attributes, self.then.attributes
        return before is not None and not _users(before) and _users(after)

    @property
    def need(self) -> Need:
        return greatest(self.fields)


def _users(attributes: Attributes | None) -> bool:
    given = {} if attributes is None else attributes.rights
    return any(each.is_user and (may.read or may.write or may.execute) for each, may in given.items())


def greatest(fields: Sequence[FieldChange]) -> Need:
    """Return what all these changes together need."""
    order = list(Need)
    return max((each.need for each in fields), key=order.index, default=Need.NOTHING)


def plan(
    machine: Machine, address: Input, wanted: Sequence[tuple[str, int]], regime: str | None, level: int | None
) -> DescriptorPlan:
    """Plan to change fields of the descriptor that the walk of `address` ends in, or of the one at `level`."""
    architecture, read = machine.architecture, machine.memory.read
    used = architecture.regime_for(machine.register, address, regime)
    found = walk(used, address, read)
    steps = [step for step in found.steps if level is None or step.level.number == level]
    if not steps:
        if level is None or not found.steps:
            raise UsageError(f"{address:#x} has no descriptor to change: `walk` says why")
        there = ", ".join(str(step.level.number) for step in found.steps)
        raise UsageError(f"the walk of {address:#x} has no level {level} descriptor to change; it has: {there}")
    step = steps[-1]
    before = after = step.entry.word
    for name, value in wanted:
        if name.lower() == WHOLE:
            after = used.decode(value.to_bytes(used.entry_bytes, used.byte_order), step.level).word
        else:
            after = with_field(after, name, value, f"the level {step.level.number} descriptor of {address:#x}")
    if after == before:
        raise Refused(f"the descriptor at PA {step.pa:#x} is so already, {before.padded}; nothing to write")
    cached = used.accept(step) is None
    fields = architecture.repair.changes(before, after, cached, machine.register)
    # What a table leads to has more addresses than this one.
    known = None if step.entry.kind is EntryKind.TABLE else address
    change = Change(step.pa, before, after, used.entry_bytes, used.byte_order, known)
    raw = int(after).to_bytes(used.entry_bytes, used.byte_order)
    then = walk(used, address, Patched(machine.memory, step.pa, raw).read)
    return DescriptorPlan(found, step, change, fields, then)


def invalidation(machine: Machine, repair: Repair) -> Invalidation | None:
    """Find what a repair's way needs of the guest's own code, before anything is written."""
    if repair.way is Way.WRITE:
        return None
    known = [VA(change.address) for change in repair.changes if change.address is not None]
    scopes = tlb.scopes_of(known if len(known) == len(repair.changes) else None)
    return tlb.plan(machine, scopes, repair.regime)


def make(machine: Machine, live: Live, log: Log, repair: Repair, planned: Invalidation | None) -> None:
    """Make all changes of a repair, in its way; it is in the log before the first is written.

    Where a change is refused the ones before it are taken back, so that all are made or none.
    """
    made: list[Change] = []
    if planned is not None and repair.way is Way.INVALIDATE:
        for change in repair.changes:
            needs_itself(machine, change, change.after, planned)
    log.repairs.append(repair)
    try:
        for change in repair.changes:
            if repair.way is Way.BREAK:
                assert planned is not None, "a break has its invalidation planned"
                _break_and_make(machine, live, change, planned)
            else:
                change.apply(machine.memory)
            made.append(change)
    except Refused:
        for change in reversed(made):
            change.inverse.apply(machine.memory)
        log.drop()
        raise
    if repair.way is Way.INVALIDATE and planned is not None:
        try:
            tlb.perform(machine, live, planned)
        except Refused as error:
            raise Refused(f"{error}; the tables are written, and `mmu undo` takes that back") from None


def _break_and_make(machine: Machine, live: Live, change: Change, planned: Invalidation) -> None:
    """Make one change by break-before-make; where it cannot be finished the old descriptor is put back."""
    broken = machine.architecture.repair.broken(change.before)
    needs_itself(machine, change, broken, planned)
    first, second = _through(change, broken)
    first.apply(machine.memory)
    try:
        tlb.perform(machine, live, planned)
        second.apply(machine.memory)
    except Refused as error:
        first.inverse.apply(machine.memory)
        raise Refused(f"{error}; the descriptor at PA {change.pa:#x} was put back as it was") from None
    run_gadget.run(machine, live, planned.after)


def _through(change: Change, broken: Word) -> tuple[Change, Change]:
    """Split a change into the break and the make; what is invalid already needs no break."""
    first = Change(change.pa, change.before, broken, change.size_bytes, change.byte_order, change.address)
    second = Change(change.pa, broken, change.after, change.size_bytes, change.byte_order, change.address)
    return first, second


def needs_itself(machine: Machine, change: Change, then: Word, planned: Invalidation) -> None:
    """Refuse to write what keeps the CPU from the very instructions that are borrowed for it."""
    raw = int(then).to_bytes(change.size_bytes, change.byte_order)
    memory = Patched(machine.memory, change.pa, raw)
    for loan in planned.loans:
        if not executable(machine, loan.address, memory.read):
            raise Refused(
                f"the descriptor at PA {change.pa:#x} is on the way to the guest's own {loan.use.text} at "
                f"{loan.address:#x}, which could not be executed then; nothing was written"
            )


def executable(machine: Machine, address: VA, read: Read) -> bool:
    """Return whether the CPU may execute at an address, as this memory has the tables."""
    architecture = machine.architecture
    access = Access(AccessKind.EXECUTE, architecture.privilege(machine.register))
    state = architecture.state(machine.register)
    found = walk(architecture.regime_for(machine.register, address), address, read)
    return architecture.check(found, access, state) is None


def undo(machine: Machine, live: Live, log: Log, count: int) -> Sequence[Repair]:
    """Take the last `count` repairs back, the last first, each in the way it was made; returns them.

    All is compared before anything is written: a descriptor that somebody else has changed since is left alone, with
    everything else.  One that a broken connection left as it was, or invalid in the middle, is known.
    """
    if not log.repairs:
        raise Refused("nothing was written in this session that could be taken back")
    back = log.newest(count)
    check_undo(machine, back)
    for repair in back:
        if repair.controls:
            hardware_flags.take_back(machine, live, repair)
        maintenance = invalidation(machine, repair) if repair.way is Way.BREAK else None
        for change in reversed(repair.changes):
            _take_back(machine, live, change, maintenance)
        log.took_back()
        if repair.way is Way.INVALIDATE:
            _invalidate_too(machine, live, repair)
    return back


def _invalidate_too(machine: Machine, live: Live, repair: Repair) -> None:
    """Invalidate what was taken back: only now the instructions for it may be there to borrow."""
    try:
        planned = invalidation(machine, repair)
        if planned is not None:
            tlb.perform(machine, live, planned)
    except Refused as error:
        raise Refused(f"`{repair.what}` was taken back, but not in the TLB: {error}") from None


def check_undo(machine: Machine, back: Sequence[Repair]) -> None:
    """Compare all that was written with what was left there, as if each had been taken back already."""
    hardware_flags.check_undo(machine, back)
    now: dict[int, int] = {}
    for newer, repair in enumerate(back):
        for change in reversed(repair.changes):
            found = now.get(change.pa, change.found(machine.memory))
            if found not in _states(machine, change):
                other = type(change.after)(found).padded
                raise Refused(
                    f"the descriptor at PA {change.pa:#x} is {other}, neither {change.after.padded} nor "
                    f"{change.before.padded}: somebody changed it since; nothing was taken back; "
                    f"{_way_on(newer)} drops `{repair.what}` from the journal"
                )
            now[change.pa] = int(change.before)


def _way_on(newer: int) -> str:
    """Return the name of the commands that leave a repair behind, which has so many newer ones before it."""
    return f"`mmu undo {newer}` and then `mmu undo --forget`" if newer else "`mmu undo --forget`"


def _states(machine: Machine, change: Change) -> Sequence[int]:
    broken = [machine.architecture.repair.broken(each) for each in (change.after, change.before)]
    return [int(each) for each in (change.after, change.before, *broken)]


def _take_back(machine: Machine, live: Live, change: Change, planned: Invalidation | None) -> None:
    found = change.found(machine.memory)
    if found == change.before:
        return
    now = type(change.before)(found)
    inverse = Change(change.pa, now, change.before, change.size_bytes, change.byte_order, change.address)
    if planned is not None and found == change.after:
        _break_and_make(machine, live, inverse, planned)
    else:
        inverse.apply(machine.memory)
