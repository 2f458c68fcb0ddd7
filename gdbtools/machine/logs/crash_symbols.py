"""Symbols for a crash: an ELF file's, moved by as much as the log says that the kernel was.

A file is held against the log before it is believed: by the release that both name, and by the symbol of the crash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.model import Assumption, Derived
from gdbtools.machine.dumps.dump import map_file
from gdbtools.machine.symbols import Symbols, section_bytes
from gdbtools.systems.crash import Crash

_PLACE: Final = re.compile(r"([^+\s]+)\+0x([0-9a-f]+)/0x([0-9a-f]+)")
_BANNER: Final = b"Linux version "
_NAME_BYTES, _MOST = 64, 16
_TEXT: Final = "_stext"
_ADDRESSES: Final = 1 << 64


@dataclass(frozen=True)
class PlacedSymbols:
    """A file's symbols for one crash; `slide` is None where nothing says how far the code was moved.

    `at` is where the code was by the file's own addresses, None where its symbols do not have that.  `refused` says why
    the file is not this crash's: then it names nothing.
    """

    symbols: Symbols
    slide: int | None = None
    at: VA | None = None
    refused: str = ""

    def name(self, address: VA) -> str:
        """Return what is at an address of the crash, as `NAME + OFFSET`; empty where that is not known."""
        if self.slide is None or self.refused:
            return ""
        return self.symbols.name(VA((address - self.slide) % _ADDRESSES))


def placed_symbols(crash: Crash, elf: Path) -> PlacedSymbols:
    """Return the symbols of a file for a crash, as far as they are of it."""
    symbols = Symbols(elf)
    found = _PLACE.match(crash.where)
    value = None if found is None else symbols.values.get(found[1])
    releases = _releases(elf) if crash.release else ()
    if releases and crash.release not in releases:
        return PlacedSymbols(symbols, refused=f"{elf} is of {releases[0]}, and the log is of {crash.release}")
    if found is not None and value is None and not releases:
        # A module's is in no kernel's file; of a file that does not say its release nothing else is known.
        return PlacedSymbols(symbols, refused=f"{elf} has no {found[1]}, where the crash was: it may be another's")
    at = None if found is None or value is None else VA(value + int(found[2], 16))
    return PlacedSymbols(symbols, _slide(crash, symbols, at), at)


def with_symbols(crash: Crash, symbols: PlacedSymbols) -> Crash:
    """Return a crash with what its symbols add: where the code was as a number, or the line that would say so."""
    if symbols.refused or symbols.at is None:
        return crash
    crash = replace(crash, claims=(*crash.claims, *_flipped(crash, symbols.symbols.elf, symbols.at)))
    if symbols.slide is None:
        asked = "the line `Kernel Offset: ...`, which a panic prints: without it no address of the log has a symbol"
        return replace(crash, wanted=(*crash.wanted, asked))
    if not crash.pc or crash.pc in crash.stated:
        return crash
    at = (symbols.at + symbols.slide) % _ADDRESSES
    moved = f"moved by {symbols.slide:#x} as the log says" if symbols.slide else "which was not moved"
    said = Assumption(crash.pc, f"{crash.pc}={at:#x}: {crash.where} by the symbols of {symbols.symbols.elf}, {moved}")
    deduced = Derived({**crash.deduced.values, crash.pc: at}, (*crash.deduced.assumed, said))
    return replace(crash, deduced=deduced)


def _flipped(crash: Crash, elf: Path | None, at: VA) -> Iterator[str]:
    """Yield which bit of the printed code is not as the file has it, where it is one bit of all.

    A kernel patches its own code as it starts: what differs by more is no evidence.
    """
    printed = crash.code_before + crash.code
    first = at - len(crash.code_before)
    linked = b"" if elf is None or not crash.code else section_bytes(elf, first, len(printed))
    if len(linked) != len(printed):
        return
    differs = int.from_bytes(linked, "little") ^ int.from_bytes(printed, "little")
    if differs.bit_count() == 1:
        place, bit = divmod(differs.bit_length() - 1, 8)
        has = f"it is {printed[place]:#04x} in the log, and {linked[place]:#04x} in {elf}"
        where = f"bit {bit} of the byte {place - len(crash.code_before):+d} from the instruction"
        yield f"one bit of the code is flipped, {where}: {has}"


def _slide(crash: Crash, symbols: Symbols, at: VA | None) -> int | None:
    """Return how far the code was moved: as the log says, or by an address that it has beside its symbol."""
    if crash.slide is not None:
        return crash.slide
    linked = symbols.values.get(_TEXT)
    if crash.code_at is not None and linked is not None:
        return (crash.code_at - linked) % _ADDRESSES
    if at is None:
        return None
    stated = crash.stated.get(crash.pc)
    return None if stated is None else (stated - at) % _ADDRESSES


def _releases(elf: Path) -> Sequence[str]:
    """Return the releases of Linux that a file names; a format of its banner is none."""
    view, found = map_file(elf), list[str]()
    at = view.find(_BANNER)
    while at >= 0 and len(found) < _MOST:
        name = view[at + len(_BANNER) : at + len(_BANNER) + _NAME_BYTES].split(b" ")[0]
        if name[:1].isdigit():
            found.append(name.decode(errors="replace"))
        at = view.find(_BANNER, at + 1)
    return found
