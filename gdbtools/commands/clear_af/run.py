"""`clear-af`: clear the access flags of a range, so that whoever touches it next shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import Input
from gdbtools.commands.session import Session
from gdbtools.errors import Refused
from gdbtools.repair import clear_access_flag, descriptor
from gdbtools.repair.clear_access_flag import ClearPlan
from gdbtools.repair.log import Repair, Way
from gdbtools.repair.tlb import Invalidation, enough_here, own_regime
from gdbtools.systems import flag_habits

UPPER_HALF = 1 << 63


@dataclass(frozen=True)
class Cleared:
    """A plan, what of the guest's code it borrows, and whether it was done."""

    first: int
    size_bytes: int
    plan: ClearPlan
    invalidation: Invalidation | None
    applied: bool
    habits: str
    """Who sets such flags by the habit of the systems that are known."""
    lent_here: bool | None
    """Whether an invalidation that the CPU executes where it stands is enough; None without a guest."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `clear-af`, as `declared` has it."""

    range: tuple[Input, int]
    tlbi: bool = False
    dry_run: bool = False
    regime: str | None = None


def run(session: Session, options: Options) -> Sequence[Cleared]:
    """Plan everything before anything is written, so that a refusal leaves the guest as it was."""
    machine, (first, size_bytes) = session.machine, options.range
    planned = clear_access_flag.plan(machine, (first, size_bytes), options.regime)
    if not planned.changes:
        clear = f"the access flags of {planned.already} leaves are clear already"
        why = clear if planned.already else "nothing is mapped there"
        raise Refused(f"nothing to clear from {first:#x}: {why}; `mmu map` lists what is")
    way = Way.INVALIDATE if options.tlbi else Way.WRITE
    regime = None if way is Way.WRITE else options.regime or own_regime(machine)
    repair = Repair("clear-af", planned.changes, way, regime)
    invalidation = descriptor.invalidation(machine, repair)
    of_kernel = any((each.address or 0) & UPPER_HALF for each in planned.changes)
    habits = flag_habits(machine.architecture, of_kernel)
    if not options.dry_run:
        descriptor.make(machine, session.live, session.written, repair, invalidation)
    here = None if machine.live is None else enough_here(machine)
    return (Cleared(first, size_bytes, planned, invalidation, not options.dry_run, habits, here),)
