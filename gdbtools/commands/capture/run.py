"""`capture`: the evidence of this stop in one small file, which opens offline with the same commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gdbtools.addresses import PA, VA
from gdbtools.analysis.devices.second_stage_cause import KeptTrees, of_diagnosis
from gdbtools.analysis.faults.diagnosis import Verdict, diagnose
from gdbtools.analysis.faults.writer import writer
from gdbtools.analysis.footprint import read_code, read_range, read_tables
from gdbtools.analysis.guests.census import Censuses
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Regime
from gdbtools.commands.files import write_whole
from gdbtools.commands.guest_frames import frames_on, guest_of
from gdbtools.commands.guests.memory import machine_memory
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import CURRENT, all_ranges, of_last_exception, spaces
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.dumps.capture import core_bytes
from gdbtools.machine.dumps.extents import map_of
from gdbtools.machine.layers import Recording
from gdbtools.machine.model import DIRTY_STATE, Cpu, Machine

TABLES = ("all", "touched")


@dataclass(frozen=True)
class Captured:
    """What was written; `unreadable` counts tables that could not be read and are not in the file.

    `missing_bytes` counts what the wanted ranges and the code map, and could not be read either.
    """

    path: str
    size_bytes: int
    memory_bytes: int
    cpus: int
    unreadable: int
    missing_bytes: int = 0
    isolation: Isolation | None = None
    """Set where the space in force at the current CPU is a reduced one."""
    space: str | None = None
    """The one space that was asked for."""
    loaded: tuple[Regime, ...] = ()
    """What the current CPU has loaded and does not use: a guest's second stage, at a hypervisor's stop."""
    whole: bool = True
    """Whether all tables were wanted, and not only those that explain a fault."""
    explains: bool = True
    """Whether there is an exception of the current CPU to explain."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `capture`, as `declared` has it."""

    file: str
    va: Sequence[tuple[VA, int]] = ()
    tables: str | None = None
    with_code: bool = False
    space: str | None = None
    guest: str | None = None


def run(session: Session, options: Options) -> Sequence[Captured]:
    machine, recording = session.machine, Recording(session.machine.memory)
    missing = 0
    read = recording.read
    here = spaces(machine)
    here.chosen(options.space)
    unreadable = captured_tables(machine, recording, options.tables != "touched", space=options.space)
    if options.guest is not None:
        from gdbtools.commands.guests.asked import read_guest  # only such a question needs it

        unreadable += read_guest(machine, options.guest, read)
    if options.with_code:
        each = [_fullest(cpu, options.space).register for cpu in _each(machine)]
        missing += sum(read_code(machine.architecture, register, read) for register in each)
    for first, size_bytes in options.va:
        missing += read_range(machine.architecture, _fullest(machine, options.space).register, read, first, size_bytes)
    written = write_capture(session, Path(options.file), recording.extents(), unreadable, missing)
    loaded = tuple(loaded_regimes(machine))
    whole = options.tables != "touched"
    return (replace(written, isolation=here.isolation, space=options.space, loaded=loaded, whole=whole),)


def captured_tables(
    machine: Machine, recording: Recording, every: bool = True, code: bool = True, space: str | None = None
) -> int:
    """Read the tables that explain each CPU's fault, or every one; give how many could not be read.

    The kernel's own are among them where the space in force is a reduced one, unless `space` is that one.  With
    `code`, also the instructions that a verdict rests on, or the proof of the kernel's root.
    """
    unreadable = 0
    read = recording.read
    machine.architecture.regimes(machine.register)
    for cpu in _each(machine):
        # A CPU that was never started has no tables, and one that is at no fault has nothing to diagnose.
        with suppress(Unavailable, Unreadable):
            here = spaces(replace(cpu, memory=recording) if code and space != CURRENT else cpu)
            if every:
                unreadable += read_tables([regime for _, _, regime in all_ranges(here, space, None)], read)
                unreadable += read_tables(loaded_regimes(cpu), read)
            asked, _, _ = of_last_exception(here)
            # What is looked at without being kept is looked at past the recording.
            fetch = read if code else machine.memory.read
            found = diagnose(asked.architecture, asked.register, read, fetch=fetch)
            if code and found.walk is not None:
                frames_on(found.walk, guest_of(here.machine))
            if every and code:
                of_diagnosis(found, machine_memory(machine, read), KeptTrees(Censuses()))
            if code and found.verdict in (Verdict.TABLES_PERMIT, Verdict.LEFT_TO_HARDWARE):
                writer(asked.architecture, asked.register, read, found)
    return unreadable


def loaded_regimes(machine: Machine) -> Sequence[Regime]:
    """Return the ranges whose tables the current CPU's registers hold although nothing in force uses them."""
    architecture, register = machine.architecture, machine.register
    try:
        return [each for name in architecture.loaded(register) for each in architecture.regimes(register, name)]
    except Unavailable:
        return ()


def _each(machine: Machine) -> Sequence[Machine]:
    """Return the machine once for each CPU, with that as its current one."""
    return [replace(machine, current=number) for number in sorted(cpu.number for cpu in machine.cpus)]


def _fullest(machine: Machine, space: str | None) -> Machine:
    return machine if space == CURRENT else spaces(machine).fullest


def write_capture(
    session: Session, path: Path, memory: Mapping[PA, bytes], unreadable: int, missing_bytes: int = 0
) -> Captured:
    """Write these parts of memory and the registers of every CPU."""
    machine = session.machine
    cpus = sorted(machine.cpus, key=lambda cpu: cpu.number)
    registers = [registers_of(machine, cpu) for cpu in cpus]
    current = [cpu.number for cpu in cpus].index(machine.current)
    architecture = machine.architecture
    dirty = "" if architecture.dirty is DirtyConvention.NONE else architecture.dirty.value
    assumed = [each.text for each in machine.assumed if each.about != DIRTY_STATE]
    data = core_bytes(architecture.identity, registers, current, memory, assumed, dirty, map_of(machine.memory) or ())
    session.make_sure()
    write_whole(path.expanduser(), data)
    size_bytes = sum(map(len, memory.values()))
    made = Captured(str(path), len(data), size_bytes, len(registers), unreadable, missing_bytes)
    return replace(made, explains=_explains(machine))


def _explains(machine: Machine) -> bool:
    """Return whether the current CPU's exception can be told: elsewhere than at its entry it cannot be everywhere."""
    try:
        machine.exception()
    except (Unavailable, Unreadable):
        return False
    return True


def registers_of(machine: Machine, cpu: Cpu) -> Mapping[str, int]:
    """Return the declared and general registers that a CPU has; one that it lacks is left out."""
    values: dict[str, int] = {}
    for name in dict.fromkeys((*machine.architecture.registers, *machine.architecture.general)):
        try:
            values[name] = cpu.registers.read(name)
        except Unavailable:
            continue
    return values
