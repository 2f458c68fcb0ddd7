"""Borrowing an instruction that the guest already has, instead of injecting one.

At the first instruction of an exception vector nothing has been clobbered, so an exception return executed there goes
back to the faulting instruction with the guest's own ELR and SPSR, which a gdbstub cannot write.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from gdbtools.arch.architecture import Architecture
from gdbtools.arch.model import Access, AccessKind, Mapped, Read, ReadRegister, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.errors import Refused, Unreadable

PAGE_BYTES = 1 << 12
NEAR_PAGES = 16
"""How far from the vectors to look before every executable mapping is searched."""
SEARCH_LIMIT_BYTES = 64 << 20
SEARCH_LIMIT_RUNS = 1 << 18
"""How many runs of each range are looked at: tables that lead to themselves have no end worth waiting for."""
CHUNK_BYTES = 1 << 16


def find_return(architecture: Architecture, register: ReadRegister, read: Read) -> int:
    """Give the virtual address of an exception return that this CPU may execute now; raise `Refused` if there is none.

    The vectors' own page comes first, because the CPU is executing from it; then their neighbours; then everything
    executable, nearest first.
    """
    vectors = min(architecture.vectors(register))
    home = vectors & -PAGE_BYTES
    near = [home]
    for distance in range(1, NEAR_PAGES + 1):
        near += [home + distance * PAGE_BYTES, home - distance * PAGE_BYTES]
    searched = 0
    for va, pa, size_bytes in _executable(architecture, register, read, near):
        for offset in range(0, size_bytes, CHUNK_BYTES):
            take = min(CHUNK_BYTES, size_bytes - offset)
            try:
                found = _aligned_find(read(pa + offset, take), architecture.return_instruction)
            except Unreadable:
                break
            if found is not None:
                return va + offset + found
            searched += take
            if searched >= SEARCH_LIMIT_BYTES:
                raise Refused(f"no exception return in {searched >> 20} MB of executable memory; return by hand")
    raise Refused("the guest has no exception return in its mapped executable memory; return by hand")


def _executable(
    architecture: Architecture, register: ReadRegister, read: Read, near: list[int]
) -> Iterator[tuple[int, int, int]]:
    """Give (va, pa, size) of what this CPU may execute: the `near` pages, then every mapping by its distance."""
    access = Access(AccessKind.EXECUTE, architecture.level(register))
    state = architecture.state(register)

    def allowed(va: int) -> int | None:
        """Give where `va` leads if it may be executed now."""
        found = walk(architecture.regime_for(register, va), va, read)
        if architecture.check(found, access, state) is not None or not isinstance(found.outcome, Mapped):
            return None
        return found.outcome.address

    for page in near:
        if not 0 <= page < 1 << 64:
            continue
        try:
            pa = allowed(page)
        except Unreadable:
            continue
        if pa is not None:
            yield page, pa, PAGE_BYTES
    runs = [
        (run, PAGE_BYTES if regime.below or not run.stride_bytes else run.size_bytes)
        for regime in architecture.regimes(register)
        if regime.levels
        for run in islice(scan(regime, read), SEARCH_LIMIT_RUNS)
        if isinstance(run, Run) and run.fault is None and run.attributes.rights[access.el].execute
    ]
    # Through a second stage what follows in the input need not follow in memory.
    for run, step in sorted(runs, key=lambda each: abs(each[0].first - near[0])):
        for va in range(run.first, run.first + run.size_bytes, step):
            pa = allowed(va)
            if pa is not None:
                yield va, pa, step


def _aligned_find(data: bytes, pattern: bytes) -> int | None:
    at = data.find(pattern)
    while at >= 0 and at % len(pattern):
        at = data.find(pattern, at + 1)
    return at if at >= 0 else None
