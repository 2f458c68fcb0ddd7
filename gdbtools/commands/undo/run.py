"""`undo`: take back what was written to the guest's tables, the last repair first, or forget it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.gadgets import Need
from gdbtools.commands.session import Session
from gdbtools.errors import Refused, UsageError
from gdbtools.machine.model import Machine
from gdbtools.repair import descriptor
from gdbtools.repair.log import Log, Repair
from gdbtools.repair.tlb import enough_here


@dataclass(frozen=True)
class Undone:
    """One repair that was, or would be, taken back, what that needs of the TLB, and how many are left.

    `forgotten` says that it only is in the journal no more: the guest keeps what was written.
    """

    repair: Repair
    need: Need
    applied: bool
    left: int
    forgotten: bool = False
    lent_here: bool = True
    """Whether an invalidation that the CPU executes where it stands is enough."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `undo`, as `declared` has it."""

    count: int | None = None
    all: bool = False
    forget: bool = False
    dry_run: bool = False


def run(session: Session, options: Options) -> Sequence[Undone]:
    machine, log = session.machine, session.written
    count = len(log.repairs) if options.all else 1 if options.count is None else options.count
    if count < 1 and log.repairs:
        raise UsageError("give a number of repairs from 1 on")
    if options.forget:
        return _forget(log, count, not options.dry_run)
    if options.dry_run:
        back: Sequence[Repair] = log.newest(count)
        descriptor.check_undo(machine, back)
    else:
        back = descriptor.undo(machine, session.live, log, count)
    left = len(log.repairs) - (len(back) if options.dry_run else 0)
    here = enough_here(machine)
    return tuple(Undone(repair, _need(machine, repair), not options.dry_run, left, lent_here=here) for repair in back)


def _forget(log: Log, count: int, applied: bool) -> Sequence[Undone]:
    """Drop repairs from the journal; nothing is read or written, so that it works whatever became of the tables."""
    dropped = log.newest(count)
    if not dropped:
        raise Refused("nothing was written in this session that could be forgotten")
    for _ in dropped if applied else ():
        log.drop()
    left = len(log.repairs) - (0 if applied else len(dropped))
    return tuple(Undone(repair, Need.NOTHING, applied, left, forgotten=True) for repair in dropped)


def _need(machine: Machine, repair: Repair) -> Need:
    architecture: Architecture = machine.architecture
    changes = [
        each
        for change in repair.changes
        for each in architecture.repair.changes(change.after, change.before, True, machine.register)
    ]
    return descriptor.greatest(changes)
