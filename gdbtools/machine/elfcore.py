"""ELF cores of physical memory: QEMU's `dump-guest-memory`, and gdbtools' own captures."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from gdbtools.errors import Malformed
from gdbtools.machine import vmcoreinfo
from gdbtools.machine.capture import (
    GENERAL,
    GENERAL_LAYOUT,
    NOTE_LAYOUT,
    NOTE_NAME,
    NOTE_TYPE,
    NOTE_VERSION,
    NT_PRSTATUS,
    REGISTERS_OFFSET,
    padded,
)
from gdbtools.machine.model import Cpu, FixedRegisters, Range, Ranges, one_line, unsigned
from gdbtools.machine.raw import map_file, window


@dataclass(frozen=True)
class Core:
    """What an ELF core holds.  `architecture` is its name, `current` the CPU that the capture was taken at."""

    architecture: str
    memory: Ranges
    cpus: tuple[Cpu, ...]
    current: int = 0
    vmcoreinfo: Mapping[str, str] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()


def open_core(path: Path) -> Core:
    """Open an ELF core; one that is cut short or is not a core of a known architecture raises `Malformed`."""
    view = map_file(path)
    try:
        with one_line(str(path)), path.open("rb") as stream:
            elf = ELFFile(stream)
            if elf.header.e_type != "ET_CORE":
                raise Malformed(f"{path} is an ELF file but not a core; give it to --elf, and a dump to --source")
            if elf.header.e_machine != "EM_AARCH64" or elf.elfclass != 64 or not elf.little_endian:
                raise Malformed(f"{path} is a core of {elf.header.e_machine}; only little-endian AArch64 is decoded")
            loads: list[Range] = []
            notes: list[tuple[bytes, int, bytes]] = []
            for segment in elf.iter_segments():
                header = segment.header
                if header.p_type == "PT_LOAD" and header.p_filesz:
                    _inside(path, len(view), header.p_offset, header.p_filesz)
                    loads.append(window(view, header.p_offset, header.p_paddr, header.p_filesz))
                elif header.p_type == "PT_NOTE":
                    _inside(path, len(view), header.p_offset, header.p_filesz)
                    notes += _notes(path, view[header.p_offset : header.p_offset + header.p_filesz])
    except (ELFError, struct.error, ValueError, OverflowError, UnicodeDecodeError, AttributeError) as error:
        raise Malformed(f"{path} is not a core that can be read ({error}); take the dump again") from None
    memory = Ranges(tuple(sorted(loads, key=lambda r: r.pa)), f"the core {path.name}")
    return _with_registers(path, memory, notes)


def _inside(path: Path, size: int, offset: int, length: int) -> None:
    if offset + length > size:
        missing = offset + length - size
        raise Malformed(f"{path} is cut short: {missing} bytes of a segment are missing; take the dump again")


def _notes(path: Path, data: bytes) -> list[tuple[bytes, int, bytes]]:
    """Take a PT_NOTE apart: (name, type, description) each."""
    notes: list[tuple[bytes, int, bytes]] = []
    at = 0
    while at + NOTE_LAYOUT.size <= len(data):
        name_bytes, description_bytes, kind = NOTE_LAYOUT.unpack_from(data, at)
        name_at = at + NOTE_LAYOUT.size
        description_at = name_at + padded(name_bytes)
        at = description_at + padded(description_bytes)
        if description_at + description_bytes > len(data):
            raise Malformed(f"{path} has a note that is cut short; take the dump again")
        name = data[name_at : name_at + name_bytes].rstrip(b"\0")
        notes.append((name, kind, data[description_at : description_at + description_bytes]))
    return notes


def _with_registers(path: Path, memory: Ranges, notes: Sequence[tuple[bytes, int, bytes]]) -> Core:
    values: list[dict[str, int]] = []
    for name, kind, description in notes:
        if name == b"CORE" and kind == NT_PRSTATUS and len(description) >= REGISTERS_OFFSET + GENERAL_LAYOUT.size:
            values.append(dict(zip(GENERAL, GENERAL_LAYOUT.unpack_from(description, REGISTERS_OFFSET), strict=True)))
    system: Mapping[str, Any] = {}
    for name, kind, description in notes:
        if name == NOTE_NAME and kind == NOTE_TYPE:
            system = _note_json(path, description)
    architecture = system.get("architecture", "aarch64")
    per_cpu = system.get("cpus", [])
    current = system.get("current", 0)
    try:
        for number, cpu in enumerate(per_cpu):
            if number == len(values):
                values.append({})
            values[number] |= {str(name): unsigned(int(value, 16)) for name, value in cpu["registers"].items()}
    except (TypeError, KeyError, AttributeError, ValueError):
        raise Malformed(f"{path} has a gdbtools note whose registers cannot be read; take the capture again") from None
    if not isinstance(architecture, str) or not isinstance(current, int) or not 0 <= current < max(1, len(values)):
        raise Malformed(f"{path} has a gdbtools note that makes no sense; take the capture again")
    cpus = tuple(Cpu(number, FixedRegisters(each, f"the core {path.name}")) for number, each in enumerate(values))
    infos = [vmcoreinfo.parse(description) for name, _, description in notes if name == vmcoreinfo.NOTE_NAME]
    return Core(architecture, memory, cpus, current, infos[0] if infos else {}, _assumed(path, system))


def _assumed(path: Path, note: Mapping[str, Any]) -> tuple[str, ...]:
    assumed = note.get("assumed", [])
    if not isinstance(assumed, list) or not all(isinstance(each, str) for each in assumed):
        raise Malformed(f"{path} has a gdbtools note that makes no sense; take the capture again")
    return tuple(assumed)


def _note_json(path: Path, description: bytes) -> Mapping[str, Any]:
    try:
        note = json.loads(description)
    except (ValueError, RecursionError):
        raise Malformed(f"{path} has a gdbtools note that is not JSON; take the capture again") from None
    if not isinstance(note, dict) or note.get("version") != NOTE_VERSION:
        raise Malformed(f"{path} has a gdbtools note of another version; open it with the gdbtools that wrote it")
    return note
