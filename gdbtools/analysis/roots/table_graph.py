"""Which tables lead to which, and how many levels that makes: tables of one form, as they refer to each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import sub

from gdbtools.addresses import PA
from gdbtools.arch.model import Read
from gdbtools.arch.table_heuristics import NOTHING, Contents, TableForm, TableHeuristics
from gdbtools.errors import Unreadable
from gdbtools.units import PAGE_BYTES

MOSTLY = 7 / 8
"""How much of a table has to make sense: memory may have been read while it changed."""
MOSTLY_EMPTY = 1 << 6
"""How many entries a table may have at the most if most of what they lead to is empty: much of memory is, too."""
TREE_TABLES = 1 << 10
ALL_TABLES = 1 << 16
"""How many tables that lead to tables are visited below one root, and below all: more than guests in use have."""


@dataclass
class Graph:
    """Every table of a form.

    `leads_to` are the tables that an entry leads to, of those tables that may be above the last level: none where all
    entries are larger leaves.  `legal` has, for each height, the tables that may be of it: those whose entries lead to
    tables of the height below, or are leaves that may stand there.
    """

    form: TableForm
    contents: dict[int, Contents] = field(default_factory=dict)
    leads_to: dict[int, frozenset[int]] = field(default_factory=dict)
    empty: set[int] = field(default_factory=set)
    legal: list[frozenset[int]] = field(default_factory=list)
    visits_left: int = ALL_TABLES

    def height(self, table: int) -> int:
        """Return the greatest height that a table may have."""
        return max((height for height, tables in enumerate(self.legal) if table in tables), default=0)

    @cached_property
    def referenced(self) -> Set[int]:
        """The tables that another one leads to, being of the height above."""
        found: set[int] = set()
        for table, children in self.leads_to.items():
            if height := self.height(table):
                found |= (children & self.legal[height - 1]) - {table}
        return found

    def below(self, roots: Collection[int], height: int) -> frozenset[int]:
        """Return all tables of the trees of some roots, those included, as far as there is time."""
        found: set[int] = set()
        at = set(roots) & self.legal[height]
        visits = min(TREE_TABLES, self.visits_left)
        while at:
            found |= at
            if height == 0:
                break
            height -= 1
            above, at = at, set()
            for table in list(above)[:visits]:
                at |= self.leads_to.get(table, frozenset())
            self.visits_left -= min(visits, len(above))
            visits -= min(visits, len(above))
            at &= self.legal[height]
            at -= found
        return frozenset(found)

    def reaches_last_level(self, root: int, height: int) -> bool:
        """Return whether anything in a tree has to be of the last level."""
        at = {root}
        while height and len(at) < TREE_TABLES:
            height -= 1
            at = set().union(*(self.leads_to.get(table, frozenset()) for table in at)) & self.legal[height]
        return bool(at)


def graphs(appearance: TableHeuristics, pages: Set[int], read: Read) -> Sequence[Graph]:
    """Put pages together to tables, of each form, and find how those refer to each other."""
    made = [_Making(Graph(form), _tables(form, pages, read), appearance, read) for form in appearance.forms]
    for page in sorted(pages):
        contents = appearance.contents(read(PA(page), PAGE_BYTES))
        for each in made:
            each.add(page, contents)
    for each in made:
        each.end()
    return [each.graph for each in made]


def _tables(form: TableForm, pages: Set[int], read: Read) -> set[int]:
    """Return where tables may be: all of whose pages are tables', or empty."""
    if form.table_bytes == PAGE_BYTES:
        return set(pages)
    size = form.table_bytes
    whole = {table: range(table, table + size, PAGE_BYTES) for table in {page & -size for page in pages}}
    return {
        table
        for table, each in whole.items()
        if all(page in pages or is_empty(PA(page), PAGE_BYTES, read) for page in each)
    }


@dataclass
class _Making:
    """A graph while its pages come, in order of address: only what leads to tables is kept of them."""

    graph: Graph
    tables: set[int]
    appearance: TableHeuristics
    read: Read
    last: set[int] = field(default_factory=set)
    _table: int = -1
    _whole: Contents = NOTHING

    def add(self, page: int, contents: Contents) -> None:
        table = page & -self.graph.form.table_bytes
        if table != self._table:
            self._done()
            self._table, self._whole = table, NOTHING
        if table not in self.tables:
            return
        within = self.graph.form.table_bytes - 1
        misplaced = len([child for child in contents.tables if child & within])
        if misplaced > (1 - MOSTLY) * len(contents.tables):
            self.tables.discard(table)
        else:
            self._whole = self._whole.and_then(contents, (page - table) >> self.graph.form.entry_bits)

    def end(self) -> None:
        self._done()
        self.graph.legal += _legal(self.graph, self.last)

    def _done(self) -> None:
        table, whole, graph = self._table, self._whole, self.graph
        if table not in self.tables:
            return
        if self.appearance.may_be_last(whole):
            self.last.add(table)
        if not whole.tables or self._leads_to_tables(table, whole):
            graph.leads_to[table] = whole.tables
            graph.contents[table] = whole
        else:
            # Where pages are is of no interest here, and there may be very many.
            graph.contents[table] = replace(whole, tables=frozenset(), kinds=frozenset())

    def _leads_to_tables(self, table: int, whole: Contents) -> bool:
        """Return whether entries lead to tables, some of them empty; where most are, all of memory may be.

        Not where entries say themselves that they lead to tables: Linux has those that a kernel may come to need in its
        root from the start, most of them empty.
        """
        children, size = whole.tables, self.graph.form.table_bytes
        wrong = children - self.tables
        if len(wrong) == len(children):
            return False
        if len(wrong) * 2 > len(children):
            words = self.graph.form.words(self.read(PA(table), size))
            may_be_pages = len(children) > MOSTLY_EMPTY or self._maps_pages(words, whole)
            if may_be_pages and not self.appearance.say_tables(words):
                return False
        allowed = (1 - MOSTLY) * len(children)
        for child in wrong:
            if child % size == 0 and (child in self.graph.empty or is_empty(PA(child), size, self.read)):
                self.graph.empty.add(child)
            else:
                allowed -= 1
            if allowed < 0:
                return False
        return True

    def _maps_pages(self, words: Sequence[int], whole: Contents) -> bool:
        """Return whether most entries lead to what follows where the one before leads: pages do, tables seldom."""
        steps = {form.table_bytes for form in self.appearance.forms}
        return sum(step in steps for step in map(sub, words[1:], words)) * 2 > whole.valid


def is_empty(pa: PA, size_bytes: int, read: Read) -> bool:
    """Return whether memory is there, and nothing in it."""
    try:
        return not any(read(pa, size_bytes))
    except Unreadable:
        return False


def _legal(made: Graph, last: Set[int]) -> Iterator[frozenset[int]]:
    """Yield the tables that may be of each height, from the last level up."""
    form = made.form
    legal = frozenset(last)
    yield legal
    for height in form.heights[1:]:
        below = legal | made.empty
        size = 1 << form.covered_bits(height)
        legal = frozenset(
            table
            for table, children in made.leads_to.items()
            if _fits(made.contents[table].blocks, size, height in form.block_heights) and _lead(table, children, below)
        )
        yield legal


def _fits(blocks: int | None, size_bytes: int, allowed: bool) -> bool:
    return blocks is None or (allowed and not blocks % size_bytes)


def _lead(table: int, children: frozenset[int], below: frozenset[int]) -> bool:
    """Return whether enough of a table's entries lead to tables of the height below, itself left aside."""
    if not children:
        return True
    itself = table in children
    others = len(children) - itself
    return others > 0 and len(children & below) - (itself and table in below) >= MOSTLY * others
