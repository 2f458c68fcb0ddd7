"""Borrowing an instruction that the guest already has, instead of injecting one.

At the first instruction of an exception vector nothing has been clobbered, so an exception return executed there goes
back to the faulting instruction with the guest's own ELR and SPSR, which a gdbstub cannot write.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from gdbtools.arch.architecture import Architecture
from gdbtools.arch.model import Access, AccessKind, Read, ReadRegister, Walk
from gdbtools.arch.walk import scan, walk
from gdbtools.errors import Refused, Unreadable

PAGE_BYTES = 1 << 12
NEAR_PAGES = 16
"""How far from the vectors to look before every executable mapping is searched."""
SEARCH_LIMIT_BYTES = 64 << 20
SEARCH_LIMIT_MAPPINGS = 1 << 18
"""How many mappings of each range are looked at: tables that lead to themselves have no end worth waiting for."""
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

    def allowed(found: Walk) -> bool:
        return architecture.check(found, access, state) is None

    for page in near:
        if not 0 <= page < 1 << 64:
            continue
        try:
            found = walk(architecture.regime_for(register, page), page, read)
        except Unreadable:
            continue
        if allowed(found) and found.destination is not None:
            yield page, found.destination.address, PAGE_BYTES
    mappings = [
        (each.input, each.destination.address, each.destination.size_bytes)
        for regime in architecture.regimes(register)
        if regime.levels
        for each in islice(scan(regime, read), SEARCH_LIMIT_MAPPINGS)
        if isinstance(each, Walk) and each.destination is not None and allowed(each)
    ]
    yield from sorted(mappings, key=lambda mapping: abs(mapping[0] - near[0]))


def _aligned_find(data: bytes, pattern: bytes) -> int | None:
    at = data.find(pattern)
    while at >= 0 and at % len(pattern):
        at = data.find(pattern, at + 1)
    return at if at >= 0 else None
