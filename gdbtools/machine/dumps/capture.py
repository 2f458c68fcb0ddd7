"""The capture: a small ELF core with the evidence of one stop.

It is an ELF64 core with `PT_LOAD` by guest physical address (`p_paddr`), one `NT_PRSTATUS` for each CPU, and one note
named `gdbtools` whose JSON carries the system registers of each CPU:

    {"version": 1, "architecture": "...", "current": 0, "cpus": [{"registers": {"NAME": "0x..."}}]}

with `"assumed": ["..."]` where registers stand in it that nobody read, and `"dirty_convention": "bit55"` where it was
stated by which bit its guest marks what is dirty.  `"memory": [["0x...", "0x..."]]` is where the machine had memory, by
address and size, as far as its source told.

readelf, gdb and pyelftools open it.  Source of the layouts: the System V ABI for ELF, `struct elf_prstatus` and
`struct user_pt_regs` of Linux.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence

from gdbtools import __version__
from gdbtools.addresses import PA
from gdbtools.arch.identity import Identity, StatusLayout

NOTE_NAME = b"gdbtools"
NOTE_TYPE = 0x4D4D55
NOTE_VERSION = 1
NT_PRSTATUS = 1
ET_CORE, PT_LOAD, PT_NOTE, PF_R = 4, 1, 4, 4
ANY_ALIGNMENT = 1

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
"""p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align."""
PROGRAM_HEADER_32 = struct.Struct("<IIIIIIII")
"""p_type, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_flags, p_align."""
NOTE_LAYOUT = struct.Struct("<III")


def padded(size: int) -> int:
    return size + 3 & ~3


def core_bytes(
    identity: Identity,
    cpus: Sequence[Mapping[str, int]],
    current: int,
    memory: Mapping[PA, bytes],
    assumed: Sequence[str] = (),
    dirty: str = "",
    machine_has: Sequence[tuple[PA, int]] = (),
) -> bytes:
    """Return a capture: `cpus` holds the registers of each, `memory` maps physical addresses to what was there.

    Neighbours become one PT_LOAD; `assumed` is what stands in for registers that nobody read, `dirty` the convention by
    which the guest marks what is dirty, `machine_has` where the machine has memory, (physical address, size in bytes).
    The same arguments give the same bytes.
    """
    notes = b"".join(
        _note(b"CORE", NT_PRSTATUS, _prstatus(identity.status, number, registers))
        for number, registers in enumerate(cpus)
    )
    general = identity.status.names
    system = [
        {"registers": {name: f"{value:#018x}" for name, value in registers.items() if name not in general}}
        for registers in cpus
    ]
    body: dict[str, object] = {
        "version": NOTE_VERSION,
        "written_by": f"gdbtools {__version__}",
        "architecture": identity.name,
        "current": current,
        "cpus": system,
    }
    if assumed:
        body["assumed"] = list(assumed)
    if dirty:
        body["dirty_convention"] = dirty
    if machine_has:
        body["memory"] = [[f"{pa:#x}", f"{size_bytes:#x}"] for pa, size_bytes in machine_has]
    notes += _note(NOTE_NAME, NOTE_TYPE, json.dumps(body).encode())
    segments = _runs(memory)
    alignment = 4096
    offset = _EHDR.size + PROGRAM_HEADER.size * (1 + len(segments))
    headers = [PROGRAM_HEADER.pack(PT_NOTE, 0, offset, 0, 0, len(notes), 0, 4)]
    at = -(-(offset + len(notes)) // alignment) * alignment
    padding = at - offset - len(notes)
    for pa, data in segments:
        headers.append(PROGRAM_HEADER.pack(PT_LOAD, PF_R, at, 0, pa, len(data), len(data), ANY_ALIGNMENT))
        at += len(data)
    magic = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = _EHDR.pack(
        magic,
        ET_CORE,
        identity.elf_number,
        1,
        0,
        _EHDR.size,
        0,
        0,
        _EHDR.size,
        PROGRAM_HEADER.size,
        len(headers),
        0,
        0,
        0,
    )
    return b"".join((header, *headers, notes, bytes(padding), *(data for _, data in segments)))


def _runs(memory: Mapping[PA, bytes]) -> list[tuple[PA, bytes]]:
    runs: list[tuple[PA, list[bytes], int]] = []
    for pa in sorted(memory):
        data = memory[pa]
        if runs and runs[-1][0] + runs[-1][2] == pa:
            start, parts, size = runs.pop()
            runs.append((start, [*parts, data], size + len(data)))
        else:
            runs.append((pa, [data], len(data)))
    return [(pa, b"".join(parts)) for pa, parts, _ in runs]


def _note(name: bytes, kind: int, description: bytes) -> bytes:
    terminated = name + b"\0"
    header = NOTE_LAYOUT.pack(len(terminated), len(description), kind)
    return (
        header + terminated.ljust(padded(len(terminated)), b"\0") + description.ljust(padded(len(description)), b"\0")
    )


def _prstatus(layout: StatusLayout, number: int, registers: Mapping[str, int]) -> bytes:
    status = bytearray(layout.size_bytes)
    # gdb takes the pid for the thread's name and refuses 0.
    struct.pack_into("<I", status, layout.pid_offset, number + 1)
    layout.registers.pack_into(status, layout.registers_offset, *(registers.get(name, 0) for name in layout.names))
    return bytes(status)
