"""ELF cores of physical memory: QEMU's `dump-guest-memory`, and gdbtools' own captures.

A capture is an ELF64 core with `PT_LOAD` by guest physical address (`p_paddr`), one `NT_PRSTATUS` for each CPU, and
one note named `gdbtools` whose JSON carries the system registers of each CPU:

    {"version": 1, "architecture": "aarch64", "current": 0, "cpus": [{"registers": {"TCR_EL1": "0x..."}}]}

readelf, gdb and pyelftools open it.  Source of the layouts: the System V ABI for ELF, `struct elf_prstatus` and
`struct user_pt_regs` of Linux for AArch64.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from gdbtools.errors import Malformed
from gdbtools.machine.model import Cpu, FixedRegisters, Range, Ranges, one_line
from gdbtools.machine.raw import map_file, window

NOTE_NAME = b"gdbtools"
NOTE_TYPE = 0x4D4D55
NOTE_VERSION = 1
NT_PRSTATUS = 1
EM_AARCH64 = 183
ET_CORE, PT_LOAD, PT_NOTE, PF_R = 4, 1, 4, 4

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_NOTE = struct.Struct("<III")
# struct elf_prstatus: pr_pid at 32, pr_reg (x0..x30, sp, pc, pstate) at 112, pr_fpvalid at the end.
_PRSTATUS_BYTES, _PID_OFFSET, _REGISTERS_OFFSET = 392, 32, 112
GENERAL = (*(f"x{n}" for n in range(31)), "sp", "pc", "cpsr")
_GENERAL = struct.Struct(f"<{len(GENERAL)}Q")


@dataclass(frozen=True)
class Core:
    """What an ELF core holds.  `architecture` is its name, `current` the CPU that the capture was taken at."""

    architecture: str
    memory: Ranges
    cpus: tuple[Cpu, ...]
    current: int = 0


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
    while at + _NOTE.size <= len(data):
        name_bytes, description_bytes, kind = _NOTE.unpack_from(data, at)
        name_at = at + _NOTE.size
        description_at = name_at + _padded(name_bytes)
        at = description_at + _padded(description_bytes)
        if description_at + description_bytes > len(data):
            raise Malformed(f"{path} has a note that is cut short; take the dump again")
        name = data[name_at : name_at + name_bytes].rstrip(b"\0")
        notes.append((name, kind, data[description_at : description_at + description_bytes]))
    return notes


def _padded(size: int) -> int:
    return size + 3 & ~3


def _with_registers(path: Path, memory: Ranges, notes: Sequence[tuple[bytes, int, bytes]]) -> Core:
    values: list[dict[str, int]] = []
    for name, kind, description in notes:
        if name == b"CORE" and kind == NT_PRSTATUS and len(description) >= _REGISTERS_OFFSET + _GENERAL.size:
            values.append(dict(zip(GENERAL, _GENERAL.unpack_from(description, _REGISTERS_OFFSET), strict=True)))
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
            values[number] |= {str(name): int(value, 16) for name, value in cpu["registers"].items()}
    except (TypeError, KeyError, AttributeError, ValueError):
        raise Malformed(f"{path} has a gdbtools note whose registers cannot be read; take the capture again") from None
    if not isinstance(architecture, str) or not isinstance(current, int) or not 0 <= current < max(1, len(values)):
        raise Malformed(f"{path} has a gdbtools note that makes no sense; take the capture again")
    cpus = tuple(Cpu(number, FixedRegisters(each, f"the core {path.name}")) for number, each in enumerate(values))
    return Core(architecture, memory, cpus, current)


def _note_json(path: Path, description: bytes) -> Mapping[str, Any]:
    try:
        note = json.loads(description)
    except (ValueError, RecursionError):
        raise Malformed(f"{path} has a gdbtools note that is not JSON; take the capture again") from None
    if not isinstance(note, dict) or note.get("version") != NOTE_VERSION:
        raise Malformed(f"{path} has a gdbtools note of another version; open it with the gdbtools that wrote it")
    return note


def core_bytes(architecture: str, cpus: Sequence[Mapping[str, int]], current: int, pages: Mapping[int, bytes]) -> bytes:
    """Give a capture: `cpus` holds the registers of each, `pages` maps physical addresses to what was there.

    Neighbouring pages become one PT_LOAD.  The same arguments give the same bytes.
    """
    notes = b"".join(_note(b"CORE", NT_PRSTATUS, _prstatus(number, registers)) for number, registers in enumerate(cpus))
    system = [
        {"registers": {name: f"{value:#018x}" for name, value in registers.items() if name not in GENERAL}}
        for registers in cpus
    ]
    body = {"version": NOTE_VERSION, "architecture": architecture, "current": current, "cpus": system}
    notes += _note(NOTE_NAME, NOTE_TYPE, json.dumps(body).encode())
    segments = _runs(pages)
    alignment = 4096
    offset = _EHDR.size + _PHDR.size * (1 + len(segments))
    headers = [_PHDR.pack(PT_NOTE, 0, offset, 0, 0, len(notes), 0, 4)]
    at = -(-(offset + len(notes)) // alignment) * alignment
    padding = at - offset - len(notes)
    for pa, data in segments:
        headers.append(_PHDR.pack(PT_LOAD, PF_R, at, 0, pa, len(data), len(data), alignment))
        at += len(data)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = _EHDR.pack(
        identity, ET_CORE, EM_AARCH64, 1, 0, _EHDR.size, 0, 0, _EHDR.size, _PHDR.size, len(headers), 0, 0, 0
    )
    return b"".join((header, *headers, notes, bytes(padding), *(data for _, data in segments)))


def _runs(pages: Mapping[int, bytes]) -> list[tuple[int, bytes]]:
    runs: list[tuple[int, list[bytes], int]] = []
    for pa in sorted(pages):
        data = pages[pa]
        if runs and runs[-1][0] + runs[-1][2] == pa:
            start, parts, size = runs.pop()
            runs.append((start, [*parts, data], size + len(data)))
        else:
            runs.append((pa, [data], len(data)))
    return [(pa, b"".join(parts)) for pa, parts, _ in runs]


def _note(name: bytes, kind: int, description: bytes) -> bytes:
    terminated = name + b"\0"
    header = _NOTE.pack(len(terminated), len(description), kind)
    return (
        header + terminated.ljust(_padded(len(terminated)), b"\0") + description.ljust(_padded(len(description)), b"\0")
    )


def _prstatus(number: int, registers: Mapping[str, int]) -> bytes:
    status = bytearray(_PRSTATUS_BYTES)
    # gdb takes the pid for the thread's name and refuses 0.
    struct.pack_into("<I", status, _PID_OFFSET, number + 1)
    _GENERAL.pack_into(status, _REGISTERS_OFFSET, *(registers.get(name, 0) for name in GENERAL))
    return bytes(status)
