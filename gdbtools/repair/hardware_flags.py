"""Asking hardware to set access flags, on every CPU or on none: control registers that are written, and put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.hardware_flags import ControlChange, ControlChanges
from gdbtools.errors import GdbtoolsError, Refused, Unavailable
from gdbtools.machine.model import Live, Machine
from gdbtools.repair import run_gadget, tlb
from gdbtools.repair.find_gadget import Loan, find, missing
from gdbtools.repair.log import CpuControl, Log, Repair
from gdbtools.repair.tlb import Invalidation

WAIT: Final = ", or have it run on into that: --wait SECONDS"
TAKEN_BACK: Final = ", or take it back from here by `mmu hardware-af off --wait SECONDS`"


@dataclass(frozen=True)
class ControlWrite:
    """One write of a control register, and the guest's own instructions for it: none where the stub makes it."""

    control: CpuControl
    loans: Sequence[Loan]


@dataclass(frozen=True)
class FlagsPlan:
    """What would be written, CPU by CPU, and why of others nothing is."""

    writes: Sequence[ControlWrite]
    left: Mapping[int, str]

    @property
    def controls(self) -> Sequence[CpuControl]:
        return [each.control for each in self.writes]


def plan(machine: Machine, on: bool, dirty: bool) -> FlagsPlan:
    """Plan it for every CPU; raise `Refused` where one of them cannot be asked, so that none is."""
    writes: list[ControlWrite] = []
    left: dict[int, str] = {}
    for here, found in _changes(machine, on, dirty):
        if found.left:
            left[here.current] = found.left
        try:
            writes += [_write(here, change) for change in found.changes]
        except Refused as refused:
            raise _of_cpu(here, refused, WAIT) from None
    if not writes:
        why = ", ".join(dict.fromkeys(left.values()))
        raise Refused(f"nothing to write: {why}")
    return FlagsPlan(writes, left)


def _changes(machine: Machine, on: bool, dirty: bool) -> Sequence[tuple[Machine, ControlChanges]]:
    """Return what each CPU's control registers need, beside the machine as that CPU sees it."""
    never = machine.architecture.repair.flags_never_fault if machine.architecture.has("repair") else ""
    if never:
        raise Refused(f"{never}, whatever software asks")
    flags = machine.architecture.hardware_flags
    regime = flags.regime(machine.register)
    found: list[tuple[Machine, ControlChanges]] = []
    for here in map(machine.seen_by, sorted(machine.cpus, key=lambda each: each.number)):
        try:
            found.append((here, flags.changes(here.register, regime, on, dirty)))
        except Refused as refused:
            raise _of_cpu(here, refused) from None
    return found


def entered(machine: Machine, live: Live, on: bool, dirty: bool, seconds: float) -> Mapping[int, VA]:
    """Have each CPU that cannot be told where it stands run on alone until it can; return where each is then.

    Raises `Refused` where one is not there after so many seconds, or is stopped on its way: those before it have run.
    """
    flags = machine.architecture.hardware_flags
    waiting = [here for here, found in _changes(machine, on, dirty) if found.changes and flags.waits(here.register)]
    ran: dict[int, VA] = {}
    for here in waiting:
        why = live.enter(here.current, here.architecture.exceptions.ways_in(here.register), seconds)
        with live.on(here.current) as now:
            ran[now.current] = VA(now.register(now.architecture.pc))
            if why or flags.waits(now.register):
                numbers = ", ".join(map(str, ran))
                raise Refused(
                    f"CPU {now.current}: {why or 'it has taken an exception, and'} is not in its kernel; no CPU was "
                    f"changed, and CPU {numbers} ran on"
                )
    return ran


def _of_cpu(here: Machine, refused: Refused, instead: str = "") -> Refused:
    """Return the refusal of one CPU; `instead` is what may be done where it only stands in a wrong place."""
    waits = here.architecture.hardware_flags.waits(here.register)
    return Refused(f"CPU {here.current}: {refused}{instead if waits else ''}; no CPU was changed")


def _write(machine: Machine, change: ControlChange) -> ControlWrite:
    """Find what a change borrows on the machine's current CPU."""
    architecture, register, read = machine.architecture, machine.register, machine.memory.read
    wanted = architecture.hardware_flags.writes(change, register)
    control = CpuControl(machine.current, change)
    if not wanted:
        return ControlWrite(control, ())
    found = find(architecture, register, read, wanted)
    loans = [loan for loan in found.loans if loan is not None]
    if len(loans) < len(wanted):
        what = f"instruction that writes {change.register} and is to be seen at once"
        raise Refused(missing(what, found, architecture, register, read, "have the guest write it"))
    return ControlWrite(control, loans)


def make(machine: Machine, live: Live, log: Log, what: str, planned: FlagsPlan) -> Invalidation | None:
    """Make all the writes, and empty the TLBs, which may hold what they were; returns what was borrowed for that.

    It is in the log before the first is made.  Where one is refused the ones before it are taken back.
    """
    log.repairs.append(Repair(what, (), controls=planned.controls))
    made: list[ControlWrite] = []
    try:
        for each in planned.writes:
            made.append(each)
            _make(live, each)
        return tlb.empty(machine, live, lambda _: False)
    except BaseException as failed:
        _all_back(live, made, failed)
        log.drop()
        raise


def _all_back(live: Live, made: Sequence[ControlWrite], failed: BaseException) -> None:
    """Put back what was made; where that cannot be done the log keeps it, and the error says so."""
    try:
        for each in reversed(made):
            _put_back(live, each.control)
    except GdbtoolsError as error:
        numbers = ", ".join(str(number) for number in dict.fromkeys(each.control.cpu for each in made))
        why = f"{failed}; " if isinstance(failed, GdbtoolsError) else ""
        raise Unavailable(
            f"{why}CPU {numbers} may be changed, and not put back: {error}; `mmu undo` tries again"
        ) from None


def _make(live: Live, write: ControlWrite) -> None:
    """Make one write on its CPU, and read it back."""
    change = write.control.change
    with live.on(write.control.cpu) as machine:
        if write.loans:
            run_gadget.run(machine, live, write.loans)
        else:
            # What did not take shows below, where it can be said what that means.
            with suppress(Refused):
                live.send({change.register: int(change.after)})
    with live.on(write.control.cpu) as machine:
        now = machine.register(change.register)
        if now != change.after:
            otherwise = machine.architecture.hardware_flags.refused
            said = f"{change.register} is {type(change.after)(now).padded}, and did not become {change.after.padded}"
            raise Refused(f"CPU {write.control.cpu}: {said}{f': {otherwise}?' if otherwise else ''}")


def _put_back(live: Live, control: CpuControl) -> None:
    """Take one write back, of which something else may have been changed since; nothing where it is so already."""
    with live.on(control.cpu) as machine:
        now = machine.register(control.change.register)
        back = control.change.inverse.at(now)
        write = _write(machine, back) if back.mask else None
    if write is not None:
        _make(live, write)


def check_undo(machine: Machine, back: Sequence[Repair]) -> None:
    """Raise `Refused` where a control register is not as it was left, or cannot be put back on its CPU as it stands.

    Each is looked at as if the repairs after it had been taken back already.
    """
    cpus = {cpu.number: cpu for cpu in machine.cpus}
    now: dict[tuple[int, str], int] = {}
    for repair in back:
        for control in reversed(repair.controls):
            here, change = machine.seen_by(cpus[control.cpu]), control.change
            key = control.cpu, change.register
            found = now.get(key, here.register(change.register))
            if not change.made(found) and not change.inverse.made(found):
                raise Refused(
                    f"{change.register} of CPU {control.cpu} is {type(change.after)(found).padded}, not as "
                    f"`{repair.what}` left it: somebody changed it since; nothing was taken back; "
                    "`mmu undo --forget` drops the newest repairs from the journal"
                )
            try:
                _write(here, change.inverse.at(found))
            except Refused as refused:
                raise _of_cpu(here, refused, TAKEN_BACK) from None
            now[key] = int(change.inverse.at(found).after)


def take_back(machine: Machine, live: Live, repair: Repair) -> None:
    """Put back the control registers of a repair, on all of its CPUs, or leave all as they are."""
    undone: list[CpuControl] = []
    try:
        for control in reversed(repair.controls):
            undone.append(control)
            _put_back(live, control)
        tlb.empty(machine, live, lambda _: False)
    except Refused:
        for control in reversed(undone):
            _put_back(live, replace(control, change=control.change.inverse))
        raise
