"""Symbols of an ELF file, as addresses."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gdbtools.addresses import VA
from gdbtools.errors import Malformed

if TYPE_CHECKING:
    import mmap

    from gdbtools.machine.model import Machine

SECTIONS: Final = {64: struct.Struct("<IIQQQQIIQQ"), 32: struct.Struct("<10I")}
"""sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size, sh_link, sh_info, sh_addralign, sh_entsize, by ELF class."""
SYMBOLS: Final = {64: struct.Struct("<I4xQ8x"), 32: struct.Struct("<II8x")}
"""st_name and st_value, of what a symbol has."""
ALLOCATED = 1 << 1  # SHF_ALLOC
PROGRAM_BITS = 1  # SHT_PROGBITS
SYMBOL_TABLES = (2, 11)  # SHT_SYMTAB, SHT_DYNSYM
NAME_BYTES, TIMES = 1 << 12, 4
"""How long a name may be (C++ and Rust stay below), and how much of the file all together: linkers share their ends."""


MOST_SYMBOLS = 200
"""How many are offered at once."""


class Symbols:
    """The symbols of an ELF file, read when they are first asked for; without a file, none."""

    def __init__(self, elf: Path | None) -> None:
        self.elf = elf

    def of(self, machine: Machine) -> Machine:
        """Return a machine whose addresses these name."""
        return replace(machine, named=self.name, files=(*machine.files, *self.files))

    @property
    def files(self) -> tuple[str, ...]:
        """The name of the file, if there is one."""
        return () if self.elf is None else (str(self.elf),)

    @cached_property
    def values(self) -> Mapping[str, int]:
        return {} if self.elf is None else symbol_values(self.elf)

    @cached_property
    def _sorted(self) -> Sequence[tuple[int, str]]:
        return sorted((value, name) for name, value in self.values.items() if not name.startswith("$"))

    @cached_property
    def _places(self) -> Sequence[tuple[int, int]]:
        return () if self.elf is None else section_places(self.elf)

    @property
    def whence(self) -> str:
        """What to say of a name that is none of them."""
        return "is not a number; for symbols give --elf FILE" if self.elf is None else f"is not a symbol of {self.elf}"

    def beginning(self, prefix: str) -> Sequence[str]:
        """Return those that begin so, not too many of them."""
        found = sorted(
            name for name in self.values if name.startswith(prefix) and not name.startswith("$") and name.isprintable()
        )
        return found[:MOST_SYMBOLS]

    def name(self, address: VA) -> str:
        """Return what is at a virtual address as GDB's `info symbol` does, `NAME + OFFSET`; empty where nothing is."""
        place = next((each for each in self._places if each[0] <= address < each[1]), None)
        at = bisect_right(self._sorted, (address, "\U0010ffff")) - 1
        if place is None or at < 0 or self._sorted[at][0] < place[0]:
            return ""
        value, name = self._sorted[at]
        return f"{name} + {address - value}" if address > value else name

    def place(self, address: VA) -> str:
        """Return an address with the symbol it is behind, as GDB writes it: `0x40200210 <vectors+528>`."""
        found = self.name(address).replace(" + ", "+")
        return f"{address:#x} <{found}>" if found else f"{address:#x}"


def section_places(path: Path) -> Sequence[tuple[int, int]]:
    """Return where the sections are that are there when the program runs: (first address, end)."""
    from gdbtools.machine.dumps.dump import map_file  # only where there is a file

    sections, _ = _sections(path, map_file(path))
    return [(each[3], each[3] + each[5]) for each in sections if each[2] & ALLOCATED and each[5]]


def section_bytes(path: Path, address: int, size_bytes: int) -> bytes:
    """Return what a file has at an address where the program runs; fewer bytes, or none, where no section has them."""
    from gdbtools.machine.dumps.dump import map_file  # the same

    view = map_file(path)
    sections, _ = _sections(path, view)
    for each in sections:
        first, offset, length = each[3:6]
        if each[1] == PROGRAM_BITS and each[2] & ALLOCATED and first <= address < first + length:
            at = offset + address - first
            return bytes(view[at : at + min(size_bytes, first + length - address)])
    return b""


def symbol_values(path: Path) -> dict[str, int]:
    """Return every named symbol's value; a file without symbols gives an empty dict, one that is not ELF raises.

    The work is that of the file's size, whatever its headers say.
    """
    from gdbtools.machine.dumps.dump import map_file  # the same

    view = map_file(path)
    values: dict[str, int] = {}
    left, names_left = len(view), TIMES * len(view)
    sections, symbol = _sections(path, view)
    for table in sections:
        if table[1] not in SYMBOL_TABLES or table[6] >= len(sections):
            continue
        offset, size_bytes = table[4:6]
        left -= size_bytes
        if offset + size_bytes > len(view) or left < 0 or size_bytes % symbol.size:
            raise Malformed(f"{path} is cut short: a part of its symbols is missing; give the whole file")
        names_at, names_bytes = sections[table[6]][4:6]
        names = view[names_at : names_at + names_bytes]
        for name_at, value in symbol.iter_unpack(view[offset : offset + size_bytes]):
            end = names.find(b"\0", name_at, name_at + NAME_BYTES)
            if end > name_at and (names_left := names_left - (end - name_at)) >= 0:
                values[names[name_at:end].decode(errors="replace")] = value
    return values


def _sections(path: Path, view: mmap.mmap) -> tuple[list[tuple[int, ...]], struct.Struct]:
    """Return the section headers, as `SECTIONS` has them, and of `SYMBOLS` what this file has."""
    # Here: only what opens a file has to wait for it.
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    from gdbtools.machine.dumps.elfcore import DAMAGED
    from gdbtools.machine.dumps.files import one_line, open_file

    try:
        with one_line(str(path)), open_file(path) as stream:
            elf = ELFFile(stream)
            first, count, each_bytes = elf["e_shoff"], elf.num_sections(), elf["e_shentsize"]
    except (ELFError, *DAMAGED) as error:
        raise Malformed(f"{path} is not an ELF file that can be read ({error}); give the kernel's own") from None
    if not elf.little_endian:
        raise Malformed(f"{path} is not a little-endian ELF file; give the kernel's own")
    section = SECTIONS[elf.elfclass]
    end = first + count * each_bytes
    if count and (each_bytes != section.size or end > len(view)):
        raise Malformed(f"{path} is cut short: its section headers are missing; give the whole file")
    return list(section.iter_unpack(view[first:end])), SYMBOLS[elf.elfclass]
