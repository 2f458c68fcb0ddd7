"""`capture`: the evidence of this stop in one small file, which opens offline with the same commands."""

from __future__ import annotations

import os
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gdbtools.analysis.diagnosis import diagnose
from gdbtools.arch.scan import tables
from gdbtools.commands.evidence import size
from gdbtools.commands.model import Argument, Command, Kind, Session
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.capture import core_bytes
from gdbtools.machine.model import PAGE_BYTES, Cpu, Machine, Recording, one_line
from gdbtools.render.document import Document, Facts, Line, Role, Span, Text
from gdbtools.render.json import JsonObject


@dataclass(frozen=True)
class Captured:
    """What was written; `unreadable` counts tables that could not be read and are not in the file."""

    path: str
    size_bytes: int
    pages: int
    cpus: int
    unreadable: int


def run(session: Session, options: Namespace) -> Sequence[Captured]:
    machine = session.machine
    cpus = sorted(machine.cpus, key=lambda cpu: cpu.number)
    registers = [registers_of(machine, cpu) for cpu in cpus]
    recording = Recording(machine.memory)
    unreadable = 0
    for regime in machine.architecture.regimes(machine.register):
        for stage in (regime, regime.below):
            if stage is not None:
                unreadable += sum(table is None for table in tables(stage, recording.read))
    # A capture taken where there is no fault to diagnose is still a capture.
    with suppress(Unavailable, Unreadable):
        diagnose(machine.architecture, machine.register, recording.read)
    current = [cpu.number for cpu in cpus].index(machine.current)
    data = core_bytes(machine.architecture.name, registers, current, recording.pages)
    _write(Path(options.file), data)
    return (Captured(options.file, len(data), len(recording.pages), len(registers), unreadable),)


def registers_of(machine: Machine, cpu: Cpu) -> Mapping[str, int]:
    """Give the declared and general registers that a CPU has; one that it lacks is left out."""
    values: dict[str, int] = {}
    for name in dict.fromkeys((*machine.architecture.registers, *machine.architecture.general)):
        try:
            values[name] = cpu.registers.read(name)
        except Unavailable:
            continue
    return values


def _write(path: Path, data: bytes) -> None:
    """Write beside the target and rename, so that a capture is whole or not there."""
    with one_line(str(path)):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def view(answer: Captured) -> Document:
    rows: list[tuple[str, Text]] = [
        ("size", f"{answer.size_bytes} bytes: {answer.pages} pages of {size(PAGE_BYTES)}, {answer.cpus} CPUs"),
        ("next", Span(f"gdbtools fault -s {answer.path}", Role.COMMAND)),
    ]
    if answer.unreadable:
        rows.append(("missing", Span(f"{answer.unreadable} tables could not be read", Role.WARNING)))
    return Document([Line(["Wrote ", Span(answer.path, Role.GOOD), "."]), Facts(rows)])


def record(answer: Captured) -> JsonObject:
    return {
        "path": answer.path,
        "size": answer.size_bytes,
        "pages": answer.pages,
        "cpus": answer.cpus,
        "unreadable_tables": answer.unreadable,
    }


COMMAND = Command(
    name="capture",
    summary="Save tables and registers to a small file that opens offline",
    description=(
        "Write an ELF core with every table of the current regimes and the registers of every CPU. gdbtools, GDB and\n"
        "readelf open it; `gdbtools fault -s FILE` says offline what `mmu fault` says now."
    ),
    arguments=(Argument("file", "where to write it", Kind.TEXT),),
    run=run,
    view=view,
    record=record,
)
