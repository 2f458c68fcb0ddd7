"""A crash in a log as a source: the registers that it states or implies, and the few descriptors that it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Assumption
from gdbtools.errors import UsageError
from gdbtools.machine.dumps.crash_text import CrashText, crashes_of
from gdbtools.machine.dumps.dump import Dump
from gdbtools.machine.dumps.files import open_file
from gdbtools.machine.layers import FixedRegisters, MemoryRange, Overridden, Ranges
from gdbtools.machine.model import Cpu, Machine
from gdbtools.systems.crash import Crash
from gdbtools.wording import number_of

DESCRIPTOR_BYTES: Final = 8
MOST_LISTED: Final = 8


def open_crash_log(path: Path, record: int | None = None) -> Dump:
    """Open a crash of a text, counted from 1, or else the first.

    Raises `UsageError` where there is none, or one that is not read.
    """
    with open_file(path) as file:
        text = CrashText(file)
        crashes = crashes_of(text)
    if crashes:
        crash = crashes[0] if record is None else chosen(crashes, record, str(path))
        if crash.unread:
            raise UsageError(f"{path} has a crash of {crash.system} in line {crash.line}: {crash.unread}")
        return dump_of(crash)
    raise UsageError(
        f"{path} is text, and there is no crash in its {number_of(text.lines, 'line')}; "
        f"for a raw image say where it starts: {path}@0x40000000"
    )


def dump_of(crash: Crash) -> Dump:
    """Return a crash as what a file holds of a guest: one CPU, and memory of a descriptor here and there."""
    whose = f"the crash in line {crash.line} of the log"
    deduced = FixedRegisters(crash.deduced.values, whose)
    registers = Overridden(deduced, FixedRegisters(crash.stated, whose)) if deduced.values else None
    cpu = Cpu(0, registers or FixedRegisters(crash.stated, whose))
    cells = tuple(_cell(pa, value) for pa, value in sorted(crash.descriptors.items()))
    said = [Assumption("", f"line {crash.line}: {crash.title}"), *crash.deduced.assumed]
    said += [Assumption("", f"the log contradicts itself: {doubt}") for doubt in crash.doubts]
    said += [Assumption("", f"not in the log: {wanted}") for wanted in crash.wanted]
    memory = Ranges(cells, whose)
    return Dump(crash.architecture, memory, (cpu,), assumed=tuple(said), counted=False, crash=crash)


def chosen(crashes: Sequence[Crash], record: int, name: str) -> Crash:
    """Return one of the crashes of a text, counted from 1; raises `UsageError` for a number that none has."""
    if 1 <= record <= len(crashes):
        return crashes[record - 1]
    lines = ", ".join(str(each.line) for each in crashes[:MOST_LISTED])
    more = ", and more" if len(crashes) > MOST_LISTED else ""
    there = number_of(len(crashes), "crash", "crashes")
    raise UsageError(f"{name} has no crash {record}: it has {there}, from line {lines} on{more}")


def machine_of(crash: Crash) -> Machine:
    """Return a crash as a machine; one that is not read has none."""
    dump = dump_of(crash)
    return Machine(ARCHITECTURES[crash.architecture], dump.memory, dump.cpus, counted=dump.counted, crash=crash)


def _cell(pa: PA, value: int) -> MemoryRange:
    data = value.to_bytes(DESCRIPTOR_BYTES, "little")
    return MemoryRange(pa, len(data), lambda at, take: data[at : at + take])
