"""`hardware-af`: one bit of each CPU instead of a repair for each page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gdbtools.addresses import VA
from gdbtools.arch.model import FaultKind
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.machine.model import Machine
from gdbtools.repair import hardware_flags
from gdbtools.repair.hardware_flags import FlagsPlan
from gdbtools.repair.tlb import Invalidation


@dataclass(frozen=True)
class HardwareAsked:
    """What was, or would be, written to have hardware set access flags (`on`), or not.

    `dirty_meaning` is what it does of dirty state, empty where that was not asked for.  `invalidation` is what the TLBs
    were emptied by, None where QEMU did that.
    """

    on: bool
    dirty_meaning: str
    plan: FlagsPlan
    invalidation: Invalidation | None
    applied: bool
    pending: Sequence[int] = ()
    """The CPUs that stand at a fault for a flag, which was taken before."""
    ran: Mapping[int, VA] = field(default_factory=dict)
    """The CPUs that ran on into their kernel first, and where each is now."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `hardware-af`, as `declared` has it."""

    state: str
    dirty: bool = False
    wait: float | None = None
    dry_run: bool = False


def run(session: Session, options: Options) -> Sequence[HardwareAsked]:
    """Plan it for every CPU before anything is written, so that a refusal leaves all of them as they were."""
    machine, on = session.machine, options.state == "on"
    if options.dirty and not on:
        raise UsageError("off ends both; leave --dirty out")
    if options.wait is not None and options.wait <= 0:
        raise UsageError("--wait takes a time in seconds, above 0")
    if options.wait is not None and options.dry_run:
        raise UsageError("--dry-run leaves the guest as it is; leave --wait out")
    ran: Mapping[int, VA] = {}
    if options.wait is not None:
        ran = hardware_flags.entered(machine, session.live, on, options.dirty, options.wait)
        machine = session.live.machine() if ran else machine
    planned = hardware_flags.plan(machine, on, options.dirty)
    invalidation = None
    if not options.dry_run:
        what = f"hardware-af {options.state}{' --dirty' if options.dirty else ''}"
        invalidation = hardware_flags.make(machine, session.live, session.written, what, planned)
    dirty = machine.architecture.hardware_flags.dirty_meaning if options.dirty else ""
    pending = _pending(machine) if on else ()
    return (HardwareAsked(on, dirty, planned, invalidation, not options.dry_run, pending, ran),)


def _pending(machine: Machine) -> Sequence[int]:
    """Return the CPUs whose fault nobody has seen to yet: at its vector entry."""
    exceptions = machine.architecture.exceptions
    return sorted(
        cpu.number
        for cpu in machine.cpus
        if exceptions.entry(machine.seen_by(cpu).register)
        and FaultKind.ACCESS_FLAG in exceptions.syndrome(machine.seen_by(cpu).register).kinds
    )
