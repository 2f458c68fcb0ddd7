"""Names for the addresses of a machine, by an ELF file: of a crash log, as far as that says where the code was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.model import Machine
from gdbtools.machine.symbols import Symbols

if TYPE_CHECKING:
    from gdbtools.machine.logs.crash_symbols import PlacedSymbols


def named(machine: Machine, symbols: Symbols) -> Machine:
    """Return a machine whose addresses the symbols of a file name; raises `UsageError` for another kernel's file."""
    placed = _placed(machine, symbols)
    return replace(symbols.of(machine), named=placed.name) if placed is not None else symbols.of(machine)


def symbol_values(symbols: Symbols, opening: Callable[[], Machine]) -> Callable[[], Mapping[str, int]]:
    """Return what has the address of each symbol in a machine; raises `Unavailable` where that is not known."""

    def values() -> Mapping[str, int]:
        placed = None if symbols.elf is None else _placed(opening(), symbols)
        if placed is None:
            return symbols.values
        slide = placed.slide
        if slide is None:
            raise Unavailable("the log does not say how far the kernel was moved: it has no line `Kernel Offset: ...`")
        return {name: (value + slide) % (1 << 64) for name, value in symbols.values.items()}

    return values


def _placed(machine: Machine, symbols: Symbols) -> PlacedSymbols | None:
    if machine.crash is None or symbols.elf is None:
        return None
    from gdbtools.machine.logs.crash_symbols import placed_symbols  # only a log has them

    placed = placed_symbols(machine.crash, symbols.elf)
    if placed.refused:
        raise UsageError(f"{placed.refused}; leave out --elf, or give the file of that kernel")
    return placed
