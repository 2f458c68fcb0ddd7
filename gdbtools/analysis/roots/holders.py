"""Which roots the registers of a source settle: in which half they are, and of how many levels and bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gdbtools.addresses import IPA, PA
from gdbtools.analysis.roots.candidates import Candidate
from gdbtools.analysis.roots.table_graph import Graph
from gdbtools.arch.model import Mapped, Read, Regime
from gdbtools.arch.table_heuristics import RootPlace, TableHeuristics
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable


@dataclass(frozen=True, slots=True)
class Holder:
    """A register that leads to a root, with what its regime reads there.

    `proven` says that it is no register's value yet: the code of a reduced space puts it there.
    """

    register: str
    root: PA
    granule_bits: int
    height: int
    input_bits: int
    proven: bool = False

    def fits(self, candidate: Candidate) -> bool:
        """Return whether a candidate is the tables that this register leads to, read as its regime reads them."""
        bits = candidate.input_bits
        return (self.root, self.granule_bits, self.height) == (
            candidate.root,
            candidate.graph.form.granule_bits,
            candidate.height,
        ) and bits in (None, self.input_bits)

    def is_at(self, place: RootPlace) -> bool:
        return (self.register, self.root, self.input_bits) == (place.register, place.root, place.input_bits)


def holder(regime: Regime, read: Read, proven: bool = False) -> Holder | None:
    """Return what a range's register says of its root; None where the stage below has nothing there."""
    root = root_of(regime, read)
    if root is None:
        return None
    # Not by the range: a root may have both halves.
    leaf_bytes, bits = regime.levels[-1].size_bytes, regime.levels[0].high + 1
    return Holder(register_of(regime), root, leaf_bytes.bit_length() - 1, len(regime.levels) - 1, bits, proven)


def register_of(regime: Regime) -> str:
    """Return the register that has a range's root."""
    return regime.root_register


def root_of(regime: Regime, read: Read) -> PA | None:
    """Return where a root is in physical memory; None where the stage below has nothing there."""
    if regime.below is None:
        return PA(regime.root)
    try:
        found = walk(regime.below, IPA(regime.root), read)
    except Unreadable:
        return None
    outcome = (found.kept or found).outcome
    return outcome.address if isinstance(outcome, Mapped) else None


def held(
    graphs: Iterable[Graph], holders: Iterable[Holder], read: Read, appearance: TableHeuristics
) -> Iterator[Candidate]:
    """Yield the tables that registers lead to: of their size, whatever else is in the same page."""
    by_form: Mapping[int, Graph] = {each.form.granule_bits: each for each in graphs}
    for each in dict.fromkeys(holders):
        graph = by_form.get(each.granule_bits)
        if graph is None or each.height not in graph.form.heights:
            continue
        size = 1 << each.input_bits - graph.form.covered_bits(each.height) + graph.form.entry_bits
        try:
            contents = appearance.contents(read(each.root, size))
        except Unreadable:
            continue
        if contents.valid:
            yield Candidate(graph, each.root, each.height, size, contents, each.input_bits)


def holders_of(candidate: Candidate, holders: Iterable[Holder]) -> Sequence[Holder]:
    """Return the registers that lead to a candidate, and read it as it is read."""
    return [each for each in holders if each.fits(candidate)]
