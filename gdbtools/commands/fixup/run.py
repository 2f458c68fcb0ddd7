"""`fixup`: set the access flag of the current fault from outside and, if asked, return to the faulting instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.analysis.faults.belonging import Belonging
from gdbtools.analysis.faults.diagnosis import diagnose
from gdbtools.arch.capabilities import Architecture
from gdbtools.commands.session import Session
from gdbtools.errors import Unavailable
from gdbtools.repair.access_flag import AccessFlagPlan, plan, plan_return
from gdbtools.repair.find_gadget import WayBack, way_back
from gdbtools.repair.tlb import own_regime


@dataclass(frozen=True)
class Fixup:
    """A plan, whether it was applied, and how the CPU is sent back (None: not asked).

    `belongs` says how it is known that the registers are of the fault that is repaired.
    """

    architecture: Architecture
    plan: AccessFlagPlan
    belongs: Belonging
    applied: bool
    back: WayBack | None
    resumed: bool
    tables: str = ""
    """The regime whose entry it is, where that is not the CPU's own, so that its invalidations are not about it."""
    asked_since: bool = False
    """Whether hardware was asked to set access flags at this stop, after the fault."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `fixup`, as `declared` has it."""

    resume: bool = False
    dry_run: bool = False


def run(session: Session, options: Options) -> Sequence[Fixup]:
    """Plan everything before anything is written, so that a refusal leaves the guest as it was."""
    machine = session.machine
    if not options.dry_run and machine.live is None:
        # Said before anything that only the guest's code would tell.
        raise Unavailable("a repair needs a live guest, and a dump is not one; `mmu fault` explains its exception")
    found = diagnose(machine.architecture, machine.register, machine.memory.read)
    planned = plan_return(found, machine.architecture, session.dirty) if options.resume else None
    if planned is None:
        planned = plan(found, machine.architecture, session.dirty, machine.memory)
    back = way_back(machine, found) if options.resume else None
    exception = found.exception
    tables = exception.second_stage or exception.regime
    tables = "" if tables == own_regime(machine) else tables
    asked_since = session.written.asked_hardware
    if options.dry_run:
        return (Fixup(machine.architecture, planned, found.belongs, False, back, False, tables, asked_since),)
    live = session.live
    if planned.writes:
        session.written.make("fixup", planned.change, machine.memory)
    if back is not None:
        live.send(back.registers)
        session.resume_wanted = True
    resumed = back is not None
    return (Fixup(machine.architecture, planned, found.belongs, planned.writes, back, resumed, tables, asked_since),)
