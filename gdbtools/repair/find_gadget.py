"""Borrowing an instruction that the guest already has, instead of injecting one.

At the first instruction of an exception vector nothing has been clobbered, so an exception return executed there goes
back to the faulting instruction by what the exception left, which a gdbstub may be unable to write.  TLB maintenance
and single loads and stores are borrowed in the same way: by one step of one CPU, and everything put back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from gdbtools.addresses import PA, VA, moved
from gdbtools.analysis.faults.diagnosis import Diagnosis
from gdbtools.analysis.isolation import isolation
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.gadgets import Borrowable, Use
from gdbtools.arch.model import Access, AccessKind, Mapped, Read, ReadRegister, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.errors import Refused, Unreadable
from gdbtools.machine.model import Machine
from gdbtools.units import PAGE_BYTES
from gdbtools.wording import amount

NEAR_PAGES = 16
"""How far from the vectors to look before every executable mapping is searched."""
SEARCH_LIMIT_BYTES = 64 << 20
SEARCH_LIMIT_RUNS = 1 << 18
"""How many runs of each range are looked at: tables that lead to themselves have no end worth waiting for."""
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Loan:
    """One instruction of the guest's, at a virtual address that this CPU may execute now, and how it is used."""

    address: VA
    word: int
    kind: Borrowable
    use: Use


@dataclass(frozen=True)
class FoundGadgets:
    """What a search came to: the best loan for each purpose, None where there is none, and how far it looked."""

    loans: Sequence[Loan | None]
    searched_bytes: int
    exhausted: bool
    """Whether everything executable was looked at."""
    unread: bool = False
    """Whether some of it could not be read, as in a file that lacks it."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """How a CPU at a vector entry is sent back: by these registers, which lead it through a borrowed exception return.

    `through` is where that is, None where the registers alone are all that it takes.
    """

    registers: Mapping[str, int]
    through: VA | None


def find_way_back(architecture: Architecture, register: ReadRegister, read: Read) -> WayBack:
    """Return how a CPU that stands at a vector entry is sent back; raise `Refused` where it cannot be."""
    alone = architecture.exceptions.way_back(register, None)
    if alone is not None:
        return WayBack(alone, None)
    return way_back_through(architecture, register, find_return(architecture, register, read))


def way_back_through(architecture: Architecture, register: ReadRegister, through: VA | None) -> WayBack:
    """Return how a CPU is sent back through an exception return that is known, None where it needs none."""
    registers = architecture.exceptions.way_back(register, through)
    assert registers is not None, "an exception return was found where one is needed"
    return WayBack(registers, through)


def find_return(architecture: Architecture, register: ReadRegister, read: Read) -> VA:
    """Return where there is an exception return that this CPU may execute now; raise `Refused` if there is none."""
    found = find(architecture, register, read, [architecture.gadgets.returns])
    if found.loans[0] is None:
        raise Refused(missing("exception return", found, architecture, register, read, "return by hand"))
    return found.loans[0].address


def way_back(machine: Machine, found: Diagnosis) -> WayBack:
    """Return how the CPU is sent back; only at a vector entry is the guest's state still untouched."""
    if not found.entry:
        pc = machine.register(machine.architecture.pc)
        raise Refused(
            f"pc {pc:#x} is not at a vector entry, so registers may be clobbered; stop there with `mmu catch`"
        )
    return find_way_back(machine.architecture, machine.register, machine.memory.read)


def missing(
    what: str, found: FoundGadgets, architecture: Architecture, register: ReadRegister, read: Read, otherwise: str
) -> str:
    """Return that the guest has not what was looked for, or where it was not found, and what to do then."""
    if is_reduced(architecture, register, read):
        return f"no {what} is in the reduced space in force; go on into the kernel and ask again"
    if found.unread:
        return (
            f"no {what} is in what can be read of the guest's executable memory, which is not all of it; a capture has "
            f"it by --with-code; else {otherwise}"
        )
    if found.exhausted:
        return f"the guest has no {what} in its mapped executable memory; {otherwise}"
    return f"no {what} in {amount(found.searched_bytes)} of executable memory; {otherwise}"


def is_reduced(architecture: Architecture, register: ReadRegister, read: Read) -> bool:
    """Return whether the space in force lacks most of the kernel: that it has no instruction says nothing of the
    guest.
    """
    return isolation(architecture, register, read) is not None


def find(
    architecture: Architecture, register: ReadRegister, read: Read, purposes: Sequence[Sequence[Borrowable]]
) -> FoundGadgets:
    """Look for one instruction for each purpose: of the lowest rank that there is, and of those the first met.

    The vectors' own page comes first, because the CPU is executing from it; then their neighbours; then everything
    executable, nearest first.
    """
    gadgets = architecture.gadgets
    vectors = min(architecture.exceptions.vectors(register))
    home = vectors & -PAGE_BYTES
    near = [VA(home)]
    for distance in range(1, NEAR_PAGES + 1):
        near += [VA(home + distance * PAGE_BYTES), VA(home - distance * PAGE_BYTES)]
    best: list[Loan | None] = [None] * len(purposes)
    searched = 0
    unread = False
    for va, pa, size_bytes in _executable(architecture, register, read, near):
        for offset in range(0, size_bytes, CHUNK_BYTES):
            take = min(CHUNK_BYTES, size_bytes - offset)
            try:
                data = read(moved(pa, offset), take)
            except Unreadable:
                unread = True
                break
            for number, purpose in enumerate(purposes):
                best[number] = _better(best[number], purpose, data, moved(va, offset), gadgets.alignment_bytes)
            if all(each is not None and each.kind.rank == 0 for each in best):
                return FoundGadgets(best, searched, False)
            searched += take
            if searched >= SEARCH_LIMIT_BYTES:
                return FoundGadgets(best, searched, False, unread)
    return FoundGadgets(best, searched, True, unread)


def _better(best: Loan | None, purpose: Sequence[Borrowable], data: bytes, va: VA, alignment_bytes: int) -> Loan | None:
    """Return the best of what was found before and what these bytes hold."""
    for kind in purpose:
        if best is not None and best.kind.rank <= kind.rank:
            continue
        for offset in _aligned(data, kind, alignment_bytes):
            word = int.from_bytes(data[offset : offset + kind.size_bytes], "little")
            use = kind.use(word)
            if use is not None:
                best = Loan(moved(va, offset), word, kind, use)
                break
    return best


def _aligned(data: bytes, kind: Borrowable, alignment_bytes: int) -> Iterator[int]:
    """Yield the offsets of all instructions of a kind; its first byte is the lowest, whatever the order of data is."""
    pattern = _expression(kind.mask, kind.match, kind.size_bytes)
    found = pattern.search(data)
    while found is not None:
        if found.start() % alignment_bytes == 0:
            yield found.start()
        found = pattern.search(data, found.start() + 1)


@cache
def _expression(mask: int, match: int, size_bytes: int) -> re.Pattern[bytes]:
    """Return what matches an instruction's bytes in memory: searching is then the regular expression engine's."""
    parts = []
    for shift in range(0, 8 * size_bytes, 8):
        care, want = mask >> shift & 0xFF, match >> shift & 0xFF
        allowed = [value for value in range(256) if value & care == want]
        parts.append(b"[" + b"".join(b"\\x%02x" % value for value in allowed) + b"]")
    return re.compile(b"".join(parts), re.DOTALL)


def _executable(
    architecture: Architecture, register: ReadRegister, read: Read, near: list[VA]
) -> Iterator[tuple[VA, PA, int]]:
    """Yield (va, pa, size) of what this CPU may execute: the `near` pages, then every mapping by its distance."""
    access = Access(AccessKind.EXECUTE, architecture.privilege(register))
    state = architecture.state(register)

    def allowed(va: VA) -> PA | None:
        """Return where `va` leads if it may be executed now."""
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
        if isinstance(run, Run) and run.fault is None and run.attributes.rights[access.privilege].execute
    ]
    # Through a second stage what follows in the input need not follow in memory.
    for run, step in sorted(runs, key=lambda each: abs(each[0].first - near[0])):
        for offset in range(0, run.size_bytes, step):
            va = VA(run.first + offset)
            pa = allowed(va)
            if pa is not None:
                yield va, pa, step
