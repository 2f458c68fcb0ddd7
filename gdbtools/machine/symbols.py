"""Symbols of an ELF file, as addresses."""

from __future__ import annotations

import struct
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from gdbtools.errors import Malformed
from gdbtools.machine.model import one_line


def symbol_values(path: Path) -> dict[str, int]:
    """Give every named symbol's value; a file without symbols gives an empty dict, one that is not ELF raises."""
    try:
        with one_line(str(path)), path.open("rb") as stream:
            tables = [s for s in ELFFile(stream).iter_sections() if isinstance(s, SymbolTableSection)]
            if any(table["sh_offset"] + table["sh_size"] > path.stat().st_size for table in tables):
                raise Malformed(f"{path} is cut short: a part of its symbols is missing; give the whole file")
            return {
                symbol.name: symbol["st_value"] for table in tables for symbol in table.iter_symbols() if symbol.name
            }
    except (ELFError, struct.error, ValueError, OverflowError, AttributeError) as error:
        raise Malformed(f"{path} is not an ELF file that can be read ({error}); give the kernel's own") from None
