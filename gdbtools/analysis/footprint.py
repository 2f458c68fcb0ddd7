"""What an answer rests on: handed a `read` that remembers, these read all of it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from gdbtools.addresses import PA, VA, Input, moved
from gdbtools.analysis.mappings import mappings_of
from gdbtools.analysis.selection import within
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Mapped, Read, ReadRegister, Regime, Run, with_memory
from gdbtools.arch.table_pages import table_pages
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.units import PAGE_BYTES

CODE_BYTES = 64
"""How much code is kept to each side of an address."""


def read_tables(regimes: Sequence[Regime], read: Read) -> int:
    """Read every table of these regimes and of the stages below them; give how many could not be."""
    stages: list[Regime] = []
    for regime in regimes:
        # Both halves have the same stage below.
        stages += [each for each in (regime, regime.below) if each is not None and each not in stages]
    return sum(len(page.unread) for stage in stages for page in table_pages(stage, read, last_too=False))


def read_range(architecture: Architecture, register: ReadRegister, read: Read, first: VA, size_bytes: int) -> int:
    """Read the bytes that a range of virtual addresses maps; give how many are mapped and could not be."""
    missing = 0
    for regime in architecture.regimes(register):
        for run in within(mappings_of(regime, read), (first, size_bytes)):
            if not isinstance(run, Run):
                continue
            low, end = max(run.first, first), min(run.last + 1, first + size_bytes)
            for page in range(low & -PAGE_BYTES, end, PAGE_BYTES):
                begin, stop = cast(Input, max(page, low)), min(page + PAGE_BYTES, end)
                pa = None if run.output is None else PA(run.output + run.offset_of(begin))
                missing += _read(read, pa, stop - begin)
    return missing


def read_code(architecture: Architecture, register: ReadRegister, read: Read) -> int:
    """Read the code around pc and around where the last exception came from, and the vectors; returns as `read_range`.

    An address that a CPU has no register for, or no mapping, has no code.
    """
    # A frame that the exception left in memory belongs to the footprint too.
    register = with_memory(register, read)

    def returned_to() -> VA:
        address = architecture.exceptions.record(register).return_address
        if address is None:
            raise Unavailable("where the last exception came from is not known")
        return address

    around: Sequence[Callable[[], tuple[int, int]]] = (
        lambda: (register(architecture.pc) - CODE_BYTES, 2 * CODE_BYTES),
        lambda: (returned_to() - CODE_BYTES, 2 * CODE_BYTES),
        lambda: (min(architecture.exceptions.vectors(register)), architecture.exceptions.vectors_bytes),
    )
    missing = 0
    for place in around:
        with suppress(Unavailable, Unreadable):
            first, size_bytes = place()
            missing += _read_mapped(architecture, register, read, VA(max(first, 0)), size_bytes)
    return missing


def _read_mapped(architecture: Architecture, register: ReadRegister, read: Read, first: VA, size_bytes: int) -> int:
    missing = 0
    at, end = first, moved(first, size_bytes)
    while at < end:
        stop = min(end, VA((at & -PAGE_BYTES) + PAGE_BYTES))
        outcome = walk(architecture.regime_for(register, at), at, read).outcome
        if isinstance(outcome, Mapped):
            missing += _read(read, outcome.address, stop - at)
        at = stop
    return missing


def _read(read: Read, pa: PA | None, size_bytes: int) -> int:
    try:
        if pa is not None:
            read(pa, size_bytes)
            return 0
    except Unreadable:
        pass
    return size_bytes
