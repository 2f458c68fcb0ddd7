"""An ELF file as small as it can be: one section of code where it runs, and symbols in it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

AARCH64: Final = 183
X86_64: Final = 62
_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_PROGBITS, _SYMTAB, _STRTAB = 1, 2, 3


def small_elf(machine: int, first: int, code: bytes, symbols: Mapping[str, int]) -> bytes:
    """Return an executable whose `code` runs at `first`, and of which `symbols` has addresses."""
    names, table = b"\0", _SYMBOL.pack(0, 0, 0, 0, 0, 0)
    for name, value in symbols.items():
        table += _SYMBOL.pack(len(names), 0x12, 0, 1, value, 0)
        names += name.encode() + b"\0"
    code_at = _HEADER.size + _SEGMENT.size
    symbols_at = code_at + len(code)
    names_at = symbols_at + len(table)
    sections = b"".join(
        _SECTION.pack(*each)
        for each in (
            (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
            (0, _PROGBITS, 2, first, code_at, len(code), 0, 0, 4, 0),
            (0, _SYMTAB, 0, 0, symbols_at, len(table), 3, 1, 8, _SYMBOL.size),
            (0, _STRTAB, 0, 0, names_at, len(names), 0, 0, 1, 0),
        )
    )
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = _HEADER.pack(
        identity, 2, machine, 1, first, _HEADER.size, names_at + len(names), 0, _HEADER.size, _SEGMENT.size, 1,
        _SECTION.size, 4, 3,
    )  # fmt: skip
    segment = _SEGMENT.pack(1, 5, code_at, first, first, len(code), len(code), 4)
    return header + segment + code + table + names + sections
