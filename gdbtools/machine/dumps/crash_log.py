"""A crash in a log as a source: the registers that it states or implies, and the few descriptors that it prints."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Assumption
from gdbtools.errors import UsageError
from gdbtools.machine.dumps.crash_text import CrashText
from gdbtools.machine.dumps.dump import Dump
from gdbtools.machine.dumps.files import open_file
from gdbtools.machine.layers import FixedRegisters, MemoryRange, Overridden, Ranges
from gdbtools.machine.model import Cpu, Machine
from gdbtools.systems.crash import Crash
from gdbtools.wording import number_of

DESCRIPTOR_BYTES: Final = 8


def open_crash_log(path: Path) -> Dump:
    """Open the first crash of a text; raises `UsageError` where there is none, or one that is not read."""
    with open_file(path) as file:
        text = CrashText(file)
        for crash in islice(text, 1):
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
    return Dump(crash.architecture, Ranges(cells, whose), (cpu,), assumed=tuple(said), counted=False)


def machine_of(crash: Crash) -> Machine:
    """Return a crash as a machine; one that is not read has none."""
    dump = dump_of(crash)
    return Machine(
        ARCHITECTURES[crash.architecture], dump.memory, dump.cpus, assumed=crash.deduced.assumed, counted=dump.counted
    )


def _cell(pa: PA, value: int) -> MemoryRange:
    data = value.to_bytes(DESCRIPTOR_BYTES, "little")
    return MemoryRange(pa, len(data), lambda at, take: data[at : at + take])
