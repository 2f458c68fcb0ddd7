"""The tables of several regimes together: how full each is, and how many entries lead to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from gdbtools.addresses import PA
from gdbtools.analysis.roots.search import Search
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Read, Regime
from gdbtools.arch.table_pages import TablePage, table_pages
from gdbtools.systems.structures import Extent
from gdbtools.units import PAGE_BYTES


@dataclass(frozen=True)
class TableUse:
    """One table, as it was met first, and what leads to it.

    `references` counts the entries that lead to it, `own_references` of them its own, and the registers that have it as
    their root; `roots` are the registers that it is reached from.  A table of several levels is one that tables of
    several levels lead to.
    """

    page: TablePage
    regime: Regime
    levels: tuple[int, ...]
    references: int
    own_references: int
    roots: tuple[str, ...]

    @property
    def leads_to_itself(self) -> bool:
        """Whether one of its entries leads to itself, as recursive mappings have it."""
        return self.own_references > 0

    @property
    def empty(self) -> bool:
        """Whether all of it was read, and hardware uses none of it, nor would if a valid bit were set."""
        return not (self.page.live or self.page.soft_invalid or self.page.unread)

    @property
    def shared(self) -> bool:
        """Whether more than one entry or register leads to it, itself left aside."""
        return self.references - self.own_references > 1


@dataclass
class _Found:
    page: TablePage
    regime: Regime
    levels: dict[int, None]
    roots: dict[str, None]


def table_use(regimes: Iterable[Regime], read: Read) -> tuple[TableUse, ...]:
    """Return every table of these regimes and of the stages below them, each once, in the order of being met.

    Tables are one where their address is, in the same space: that of physical memory, or of one stage below.
    """
    stages: list[Regime] = []
    for regime in regimes:
        stages += [each for each in (regime, regime.below) if each is not None and each not in stages]
    spaces: list[Regime | None] = []
    met: dict[tuple[int, int], _Found] = {}
    entries: dict[tuple[int, int], set[tuple[int, int]]] = {}
    """What leads to each table, as (address of a table, index)."""
    registers: dict[tuple[int, int], set[str]] = {}
    for stage in stages:
        if stage.below not in spaces:
            spaces.append(stage.below)
        space = spaces.index(stage.below)
        for page in table_pages(stage, read):
            known = met.setdefault((space, page.address), _Found(page, stage, {}, {}))
            known.levels[page.level.number] = None
            known.roots[stage.root_register] = None
            # One that is met again leads elsewhere in another range, and nowhere new in the same.
            for index, to in page.leads_to:
                entries.setdefault((space, to), set()).add((page.address, index))
            registers.setdefault((space, stage.root), set()).add(stage.root_register)
    return tuple(
        TableUse(
            page=each.page,
            regime=each.regime,
            levels=tuple(each.levels),
            references=len(entries.get(key, ())) + len(registers.get(key, ())),
            own_references=sum(table == key[1] for table, _ in entries.get(key, ())),
            roots=tuple(each.roots),
        )
        for key, each in met.items()
    )


def orphans(
    architecture: Architecture, read: Read, memory: Sequence[Extent], data: Sequence[Extent], used: Iterable[TableUse]
) -> Sequence[PA]:
    """Return the pages that look like a part of a table, and that no table in use leads to, nor any root that is found.

    `memory` is where there is any, `data` where it is not all zeros.
    """
    search = Search(architecture, read, memory, data)
    search.look_through()
    reached: set[int] = set()
    for each in used:
        for pa, size_bytes in each.page.parts:
            reached |= _pages(pa, size_bytes)
    for root in search.rank().found:
        for table in root.candidate.tables:
            reached |= _pages(table, root.place.form.table_bytes)
    return [PA(page) for page in sorted(search.surveyed.tables - reached)]


def _pages(pa: int, size_bytes: int) -> Set[int]:
    return set(range(pa & -PAGE_BYTES, pa + size_bytes, PAGE_BYTES))
