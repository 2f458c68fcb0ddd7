"""What was wanted most often, by which code, and of which pages: as tables and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gdbtools.addresses import Input
from gdbtools.render.document import Table
from gdbtools.render.json import JsonObject, hexadecimal

HOTTEST = 8
"""How many pages, and places in the code, are shown."""


@dataclass(frozen=True)
class Hottest:
    """How often each access was made, each place in the code made one, and each page was touched.

    `code` counts by symbol, or by the address where there is none; `names` has the symbols of pages, where known.
    """

    accesses: Counter[str]
    code: Counter[str]
    pages: Counter[Input]
    names: Mapping[Input, str] = field(default_factory=dict)

    def access_tables(self, counted: str) -> Iterator[Table]:
        """Yield what was wanted and by whom, the most frequent first; `counted` says what the numbers are of."""
        for what, found in (("access", self.accesses.most_common()), ("code", self.code.most_common(HOTTEST))):
            if found:
                yield _table(what, counted, found)

    def page_table(self, counted: str) -> Table:
        """Return the pages that were touched most often, with their names."""
        found = [(f"{page:#x}  {self.names.get(page, '')}".rstrip(), count) for page, count in self._hot_pages]
        return _table("page", counted, found)

    def record(self, counted: str) -> JsonObject:
        """Return all of it as JSON has it."""
        pages: list[JsonObject] = []
        for page, count in self._hot_pages:
            named = {"name": self.names[page]} if self.names.get(page) else {}
            pages.append({"page": hexadecimal(page), **named, counted: count})
        return {
            "accesses": dict(self.accesses.most_common()),
            "code": [{"place": place, counted: count} for place, count in self.code.most_common(HOTTEST)],
            "pages": pages,
        }

    @property
    def _hot_pages(self) -> Sequence[tuple[Input, int]]:
        return self.pages.most_common(HOTTEST)


def _table(what: str, counted: str, found: Sequence[tuple[str, int]]) -> Table:
    return Table((what, counted), [(name, str(count)) for name, count in found], frozenset((1,)))
