"""`tables`: how many translation tables there are, how full, and which of them stand out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import PA
from gdbtools.analysis.table_use import TableUse, orphans, table_use
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Hole, Regime
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import asked_ranges, spaces
from gdbtools.machine.dumps.extents import data_of, memory_of


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `tables`, as `declared` has it."""

    regime: str | None = None
    space: str | None = None
    all: bool = False
    orphans: bool = False


@dataclass(frozen=True)
class Tables:
    """Every table of some regimes; `orphans` are pages that look like one, None where nobody asked."""

    regimes: tuple[Regime, ...]
    tables: tuple[TableUse, ...]
    isolation: Isolation | None
    orphans: tuple[PA, ...] | None
    everything: bool

    @property
    def outstanding(self) -> Sequence[TableUse]:
        """Those that are empty, shared, or lead to themselves."""
        return [each for each in self.tables if each.empty or each.shared or each.leads_to_itself]

    @property
    def two_stages(self) -> bool:
        return any(each.regime.below is not None for each in self.tables)

    @property
    def unreadable(self) -> Sequence[Hole]:
        return [hole for each in self.tables for hole in each.page.unread]

    @property
    def size_bytes(self) -> int:
        """How much memory they take."""
        return sum(each.page.size_bytes for each in self.tables)


def run(session: Session, options: Options) -> Sequence[Tables]:
    machine = session.machine
    found = spaces(machine, options.regime)
    regimes = tuple(regime for _, _, regime in asked_ranges(found, options.space, options.regime))
    read = machine.memory.read
    used = table_use(regimes, read)
    left: tuple[PA, ...] | None = None
    if options.orphans:
        left = tuple(orphans(machine.architecture, read, memory_of(machine.memory), data_of(machine.memory), used))
    return (Tables(regimes, used, found.isolation, left, options.all),)
