"""Which tables may be roots: those that no other leads to, and those that are smaller than a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from gdbtools.addresses import PA
from gdbtools.analysis.roots.table_graph import Graph
from gdbtools.analysis.roots.table_survey import holding
from gdbtools.arch.model import Read
from gdbtools.arch.table_heuristics import Contents, TableHeuristics
from gdbtools.errors import Unreadable
from gdbtools.systems.structures import Extent

FEW_BITS = 2
"""A root of fewer than four entries, and of a size that no other has, is two numbers side by side."""
MANY, KINDS = 1 << 12, 1 << 6
"""From so many roots on, or kinds of entries that lead to tables, none of them is what it seems."""


@dataclass(frozen=True)
class Candidate:
    """A table, or a part of one, that may be a root at a height.

    `input_bits` is set where its size is known; `referenced` says that a single entry somewhere does lead to it, `amid`
    that it stands among other data, and is of a size that no other root has.
    """

    graph: Graph
    root: PA
    height: int
    size_bytes: int
    contents: Contents
    input_bits: int | None = None
    referenced: bool = False
    amid: bool = False

    @cached_property
    def tables(self) -> frozenset[int]:
        """All tables of its tree, but for the root."""
        return self.graph.below(self.contents.tables, self.height - 1) - {self.root}


def unreferenced(graph: Graph) -> Iterator[Candidate]:
    """Yield each table that nothing leads to, at every height that its tree leaves open.

    Where a single entry leads to a table, that may be a root itself: a page that maps a root looks like one above it.
    """
    referenced = graph.referenced
    pending = sorted(graph.leads_to.keys() - referenced)
    seen: set[int] = set()
    while pending:
        table = pending.pop()
        if table in seen:
            continue
        seen.add(table)
        contents = graph.contents[table]
        for height in _heights(graph, table):
            yield Candidate(graph, PA(table), height, graph.form.table_bytes, contents, referenced=table in referenced)
        if contents.valid == 1:
            pending += [child for child in contents.tables - {table} if child in graph.leads_to]


def _heights(graph: Graph, table: int) -> Iterator[int]:
    """Yield the greatest height first; lower ones only where nothing in the tree has to be of the last level."""
    greatest = graph.height(table)
    if not greatest:
        return
    yield greatest
    if graph.reaches_last_level(table, greatest):
        return
    for height in range(greatest - 1, 0, -1):
        if table in graph.legal[height]:
            yield height


def parts(candidate: Candidate, input_bits: int, read: Read, appearance: TableHeuristics) -> Iterator[Candidate]:
    """Cut a candidate into roots that resolve so much, where that is less than all of it would."""
    size = 1 << input_bits - candidate.graph.form.covered_bits(candidate.height) + candidate.graph.form.entry_bits
    if size >= candidate.size_bytes:
        yield candidate
        return
    for at in map(PA, range(candidate.root, candidate.root + candidate.size_bytes, size)):
        found = appearance.contents(read(at, size))
        if found.valid:
            yield replace(candidate, root=at, size_bytes=size, contents=found)


def small(
    graphs: Sequence[Graph], known: Candidate | None, extents: Sequence[Extent], read: Read, appearance: TableHeuristics
) -> Iterator[Candidate]:
    """Yield roots smaller than a page, in pages that hold other things too: found by what they lead to.

    Where `known` is, a root of its form and height is of its size; any other is taken for the largest that it can be.
    """
    wanted: dict[bytes, list[tuple[Graph, int]]] = {}
    for graph in graphs if appearance.has_small_roots else ():
        for word, height in _leading_to_lonely(graph, appearance):
            entry = word.to_bytes(graph.form.entry_bytes, graph.form.byte_order)
            wanted.setdefault(entry, []).append((graph, height + 1))
    seen: set[tuple[int, int]] = set()
    for at, entry in islice(holding(extents, read, frozenset(wanted)) if wanted else (), MANY):
        for graph, height in wanted[entry]:
            found = next(_around(graph, height, at, known, read, appearance), None)
            if found is not None and (found.root, graph.form.granule_bits) not in seen:
                seen.add((found.root, graph.form.granule_bits))
                yield found


def _leading_to_lonely(graph: Graph, appearance: TableHeuristics) -> Iterator[tuple[int, int]]:
    """Yield each entry that would lead to a table that none leads to, with that table's height."""
    referenced = graph.referenced
    lonely = {table: height for table in graph.leads_to if table not in referenced and (height := graph.height(table))}
    kinds = {kind for table in graph.leads_to if graph.height(table) for kind in graph.contents[table].kinds}
    if len(lonely) > MANY or len(kinds) > KINDS:
        return
    for table, height in lonely.items():
        if height + 1 in graph.form.heights:
            yield from ((table | kind, height) for kind in {*kinds, appearance.plain_kind})


def _around(
    graph: Graph, height: int, at: int, known: Candidate | None, read: Read, appearance: TableHeuristics
) -> Iterator[Candidate]:
    """Yield what an entry at an address may be one of, the largest first, or the one that has the known size."""
    covered, largest = graph.form.covered_bits(height), graph.form.root_bits(height)
    sizes = [*range(largest, FEW_BITS - 1, -1)]
    if known is not None and known.graph is graph and known.height == height and known.input_bits is not None:
        sizes = [known.input_bits - covered]
    for bits in sizes:
        size = 1 << bits + graph.form.entry_bits
        root = PA(at & -size)
        contents = _whole(graph, root, size, height, read, appearance)
        if contents is not None:
            amid = len(sizes) > 1
            yield Candidate(graph, root, height, size, contents, covered + bits, amid=amid)


def _whole(
    graph: Graph, root: PA, size_bytes: int, height: int, read: Read, appearance: TableHeuristics
) -> Contents | None:
    """Return a root's entries if all of them are good, or nothing at all."""
    try:
        data = read(root, size_bytes)
    except Unreadable:
        return None
    found = appearance.contents(data)
    words = graph.form.words(data)
    good = found.tables <= graph.legal[height - 1] | graph.empty
    aligned = found.blocks is None or (
        height in graph.form.block_heights and not found.blocks % (1 << graph.form.covered_bits(height))
    )
    return found if good and aligned and sum(map(bool, words)) == found.valid else None
