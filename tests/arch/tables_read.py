"""The tables of a regime as physical addresses, for those who count them."""

from __future__ import annotations

from collections.abc import Iterator

from gdbtools.addresses import PA
from gdbtools.arch.model import Read, Regime
from gdbtools.arch.table_pages import table_pages


def tables_read(regime: Regime, read: Read) -> Iterator[PA | None]:
    """Yield where each piece of each table is; None for one that cannot be read."""
    for page in table_pages(regime, read):
        yield from (pa for pa, _ in page.parts)
        yield from (None for _ in page.unread)
