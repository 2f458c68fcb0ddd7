"""ELF cores of physical memory: QEMU's `dump-guest-memory`, Linux's /proc/vmcore, and gdbtools' own captures."""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from gdbtools.addresses import PA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.identity import Identity, StatusLayout
from gdbtools.arch.model import Assumption
from gdbtools.errors import Malformed
from gdbtools.machine.dumps.assumptions import assumptions
from gdbtools.machine.dumps.capture import (
    ANY_ALIGNMENT,
    NOTE_LAYOUT,
    NOTE_NAME,
    NOTE_TYPE,
    NOTE_VERSION,
    NT_PRSTATUS,
    PROGRAM_HEADER,
    PROGRAM_HEADER_32,
    PT_LOAD,
    PT_NOTE,
    padded,
)
from gdbtools.machine.dumps.dump import RANGES, Dump, map_file, placed
from gdbtools.machine.dumps.files import one_line, open_file
from gdbtools.machine.layers import FixedRegisters, Ranges
from gdbtools.machine.model import Cpu, unsigned
from gdbtools.systems import vmcoreinfo

DAMAGED = (struct.error, ValueError, OverflowError, UnicodeDecodeError, AttributeError, AssertionError)
"""What pyelftools raises for a file that is damaged, besides its own."""


STATUS, SYSTEM, LINUX = (b"CORE", NT_PRSTATUS), (NOTE_NAME, NOTE_TYPE), (vmcoreinfo.NOTE_NAME, 0)
WANTED = (STATUS, SYSTEM, LINUX)
"""The notes that mean something here, by name and type."""
CPUS = 1 << 12
"""How many CPUs a dump may have: more than any of Linux's own limits."""
WIDE = 64
NOTE_BYTES = 1 << 24
"""How long a gdbtools note may be: enough for all of them."""


class CoreNote(NamedTuple):
    name: bytes
    kind: int
    description: bytes

    @property
    def meaning(self) -> tuple[bytes, int]:
        return self.name, self.kind


def open_core(path: Path) -> Dump:
    """Open an ELF core; one that is cut short or is not a core of a known architecture raises `Malformed`.

    A segment counts by its physical address and by what the file has of it: its virtual address may be anything.
    """
    view = map_file(path)
    places: list[tuple[PA, int, int]] = []
    notes: list[CoreNote] = []
    noted = 0
    identity, segments = _segments(path, view)
    for kind, _, offset, _, pa, size_bytes, _, _ in segments:
        if kind == PT_LOAD and size_bytes:
            places.append((PA(pa), size_bytes, offset))
        elif kind == PT_NOTE:
            noted += size_bytes
            if max(offset + size_bytes, noted) > len(view):
                raise Malformed(f"{path} is cut short: a part of its notes is missing; take the dump again")
            notes += notes_of(path, view[offset : offset + size_bytes], identity)
    if len(places) > 1 and not any(pa for pa, _, _ in places):
        raise Malformed(
            f"{path} has no physical addresses: it is of a process, not of a machine; use dump-guest-memory"
        )
    return _with_registers(path, identity, Ranges(placed(path, view, places), f"the core {path.name}"), notes)


def _segments(path: Path, view: mmap.mmap) -> tuple[Identity, Iterator[tuple[int, ...]]]:
    """Return whose a core is, and its program headers as `PROGRAM_HEADER` has them; no more than any dump has."""
    # Here: it takes as long to import as much of gdbtools, and live there is no core.
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with one_line(str(path)), open_file(path) as stream:
            elf = ELFFile(stream)
            first, count, each_bytes = elf["e_phoff"], elf.num_segments(), elf["e_phentsize"]
            kind, machine = elf["e_type"], elf["e_machine"]
    except (ELFError, *DAMAGED) as error:
        raise Malformed(f"{path} is not a core that can be read ({error}); take the dump again") from None
    if kind != "ET_CORE":
        raise Malformed(f"{path} is an ELF file but not a core; give it to --elf, and a dump to --source")
    identity = ARCHITECTURES.of_elf(machine, elf.elfclass)
    if identity is None or not elf.little_endian:
        bits = f" of {elf.elfclass} bits" if ARCHITECTURES.of_elf(machine, 96 - elf.elfclass) else ""
        raise Malformed(f"{path} is a core of {machine}{bits}; only little-endian {ARCHITECTURES.titles} is decoded")
    layout = PROGRAM_HEADER if elf.elfclass == WIDE else PROGRAM_HEADER_32
    if count and each_bytes != layout.size:
        raise Malformed(f"{path} has program headers of {each_bytes} bytes, which no core has; take the dump again")
    if count > RANGES or first + count * each_bytes > len(view):
        raise Malformed(f"{path} is cut short: it is to have {count} program headers; take the dump again")
    headers = layout.iter_unpack(view[first : first + count * each_bytes])
    if layout is PROGRAM_HEADER:
        return identity, headers
    wide = ((kind, flags, offset, va, *rest) for kind, offset, va, *rest, flags, _ in headers)
    return identity, (((*each, ANY_ALIGNMENT)) for each in wide)


def notes_of(path: Path, data: bytes, identity: Identity) -> Iterator[CoreNote]:
    """Take a PT_NOTE apart, into those notes that mean something here."""
    own = identity.cpu_note
    wanted = (*WANTED, *([] if own is None else [(own.name, own.kind)]))
    at = 0
    while at + NOTE_LAYOUT.size <= len(data):
        name_bytes, description_bytes, kind = NOTE_LAYOUT.unpack_from(data, at)
        name_at = at + NOTE_LAYOUT.size
        description_at = name_at + padded(name_bytes)
        at = description_at + padded(description_bytes)
        if description_at + description_bytes > len(data):
            raise Malformed(f"{path} has a note that is cut short; take the dump again")
        name = data[name_at : name_at + name_bytes].rstrip(b"\0")
        if (name, kind) in wanted:
            yield CoreNote(name, kind, data[description_at : description_at + description_bytes])


def general_registers(layout: StatusLayout, status: bytes) -> dict[str, int]:
    """Return the registers of a `struct elf_prstatus`, none if it is too short to be one of that layout."""
    if len(status) < layout.registers_offset + layout.registers.size:
        return {}
    return dict(zip(layout.names, layout.registers.unpack_from(status, layout.registers_offset), strict=True))


def with_own_notes(
    identity: Identity, values: Sequence[dict[str, int]], notes: Sequence[CoreNote]
) -> list[dict[str, int]]:
    """Return each CPU's general registers with what its own note of the architecture has, if each has one."""
    own = identity.cpu_note
    of_cpus = [] if own is None else [each.description for each in notes if each.meaning == (own.name, own.kind)]
    if own is None or len(of_cpus) != len(values):
        return [*values]
    return [{**general, **own.read(each)} for general, each in zip(values, of_cpus, strict=True)]


def _with_registers(path: Path, identity: Identity, memory: Ranges, notes: Sequence[CoreNote]) -> Dump:
    statuses = [each.description for each in notes if each.meaning == STATUS]
    if len(statuses) > CPUS:
        raise Malformed(f"{path} has the registers of {len(statuses)} CPUs, which no machine has; take the dump again")
    system: Mapping[str, Any] = {}
    for each in notes:
        if each.meaning == SYSTEM:
            system = _note_json(path, each.description)
    architecture = system.get("architecture", identity.name)
    # A capture has 64-bit addresses, however wide the registers are: its note says whose it is.
    layout = ARCHITECTURES.identity(architecture).status if architecture in ARCHITECTURES else identity.status
    values = [found for each in statuses if (found := general_registers(layout, each))]
    values = with_own_notes(identity, values, notes)
    per_cpu = system.get("cpus", [])
    current = system.get("current", 0)
    try:
        for number, cpu in enumerate(per_cpu[:CPUS]):
            if number == len(values):
                values.append({})
            values[number] |= {str(name): unsigned(int(value, 16)) for name, value in cpu["registers"].items()}
    except (TypeError, KeyError, AttributeError, ValueError):
        raise Malformed(f"{path} has a gdbtools note whose registers cannot be read; take the capture again") from None
    if not isinstance(architecture, str) or not isinstance(current, int) or not 0 <= current < max(1, len(values)):
        raise Malformed(f"{path} has a gdbtools note that makes no sense; take the capture again")
    cpus = tuple(Cpu(number, FixedRegisters(each, f"the core {path.name}")) for number, each in enumerate(values))
    linux = next((each.description for each in notes if each.meaning == LINUX), b"")
    if system:
        memory = replace(memory, machine_has=_map(path, system))
    return Dump(architecture, memory, cpus, current, linux.rstrip(b"\0"), _assumed(path, system), _dirty(path, system))


def _assumed(path: Path, note: Mapping[str, Any]) -> tuple[Assumption, ...]:
    try:
        return assumptions(note.get("assumed", []))
    except ValueError:
        raise Malformed(f"{path} has a gdbtools note that makes no sense; take the capture again") from None


def _map(path: Path, note: Mapping[str, Any]) -> tuple[tuple[PA, int], ...]:
    try:
        extents = [(unsigned(int(first, 16)), unsigned(int(size, 16))) for first, size in note.get("memory", [])]
    except (TypeError, ValueError):
        raise Malformed(f"{path} has a gdbtools note that makes no sense; take the capture again") from None
    return tuple((PA(first), size) for first, size in sorted(extents[:RANGES]))


def _dirty(path: Path, note: Mapping[str, Any]) -> str:
    dirty = note.get("dirty_convention", "")
    if dirty and dirty not in [each.value for each in DirtyConvention]:
        raise Malformed(f"{path} has a gdbtools note with a dirty convention that is none; take the capture again")
    return str(dirty)


def _note_json(path: Path, description: bytes) -> Mapping[str, Any]:
    try:
        note = json.loads(description if len(description) <= NOTE_BYTES else b"")
    except (ValueError, RecursionError):
        raise Malformed(f"{path} has a gdbtools note that is not JSON; take the capture again") from None
    if not isinstance(note, dict) or note.get("version") != NOTE_VERSION:
        raise Malformed(f"{path} has a gdbtools note of another version; open it with the gdbtools that wrote it")
    return note
