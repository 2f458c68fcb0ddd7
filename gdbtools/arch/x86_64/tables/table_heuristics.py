"""What page tables of long mode look like in memory, with no register to go by.

A page of 4 KiB and an entry that leads to a table are written alike; only a large page says that it is one, by PS, and
its address is a multiple of its size: else that bit is a small page's PAT.  Source: Intel SDM volume 3, "Formats of CR3
and Paging-Structure Entries with 4-Level Paging and 5-Level Paging".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.model import Derived, Privilege, Regime
from gdbtools.arch.table_heuristics import NOTHING, Contents, Leaves, Owner, RootPlace, TableForm, TableHeuristics
from gdbtools.arch.x86_64.tables.descriptors import Entry64, MappingEntry, PresentEntry, page_entry, table_entry
from gdbtools.arch.x86_64.tables.geometry import LEVELS_5, PAGE_BITS
from gdbtools.arch.x86_64.translation import root_registers

_P, _RW, _US = (PresentEntry.field(name).mask for name in ("P", "RW", "US"))
_LARGE: Final = page_entry(LEVELS_5, PAGE_BITS + 9)
_PS: Final = _LARGE.field("PS").mask
_MISALIGNED: Final = _LARGE.field("MISALIGNED").mask
_LARGE_PAT: Final = _LARGE.field("PAT").mask
_ADDRESS: Final = table_entry(LEVELS_5).field("NextTable").mask
_NOWHERE: Final = _ADDRESS & -(1 << 48)
"""No memory is known that far up; a pointer into the upper half has every one of these bits."""
_WITHHELD: Final = Entry64.NX.mask | MappingEntry.G.mask
_MOSTLY: Final = 7 / 8
_WORDS: Final = struct.Struct("<512Q")
_SAMPLE: Final = struct.Struct("<" + "Q504x" * 8)
_EVEN: Final = bytes(range(0, 256, 2))


class LongModeTables(TableHeuristics):
    """Tables of 4 KiB, of 4 levels and of 5."""

    forms = (TableForm(granule_bits=PAGE_BITS, block_heights=(1, 2), input_bits=LEVELS_5.input_bits),)
    has_small_roots = False
    halves_share_root = True
    upper_first = (1 << 64) - (1 << LEVELS_5.input_bits - 1)
    plain_kind = _P | _RW
    stack = "rsp"

    def is_table(self, page: bytes) -> bool:
        """Look at a few words, then at the lowest bits of all, and only then at everything.

        What is not present may be anything.  What is leads to where memory may be, and a small odd number is no entry
        but of address 0, which is nobody's but in front.
        """
        if any(word & _P and word & _NOWHERE for word in _SAMPLE.unpack(page)):
            return False
        if not page[::8].translate(None, _EVEN):
            return False
        words = _WORDS.unpack(page)
        valid = {word for word in words if word & _P}
        return all(not word & _NOWHERE and (word & _ADDRESS or word == words[0]) for word in valid)

    def contents(self, entries: bytes) -> Contents:
        words = struct.unpack(f"<{len(entries) // 8}Q", entries)
        valid = [word for word in words if word & _P]
        if not valid:
            return NOTHING
        blocks: int | None = None
        for word in valid:
            if _is_large(word):
                blocks = (blocks or 0) | word & _ADDRESS & ~_LARGE_PAT
        others = valid if blocks is None else [word for word in valid if not _is_large(word)]
        tables, kinds = [word & _ADDRESS for word in others], [word & ~_ADDRESS for word in others]
        return Contents.of(words, valid, tables, kinds, blocks)

    def say_tables(self, entries: Sequence[int]) -> bool:
        """Return whether most entries grant all that a table's do: of pages some withhold execution, or are global.

        Where those of tables follow one another, they do not stand where an entry of a linear map does.
        """
        valid = [(index, word) for index, word in enumerate(entries) if word & _P]
        granting = [index for index, word in valid if word & (_RW | _WITHHELD) == _RW and _number(word) != index]
        return len(granting) >= _MOSTLY * len(valid)

    def owner(self, leaves: Sequence[Leaves]) -> Owner:
        """Tell a process's by what user mode may access; a kernel's own have at most the one page that it shares."""
        users = sum(each.count for each in leaves if each.descriptor & _US)
        return Owner.USER if users > 1 else Owner.KERNEL

    def places(
        self, root: PA, form: TableForm, height: int, owner: Owner, level: Privilege | None  # noqa: ARG002
    ) -> Sequence[RootPlace]:  # fmt: skip
        return root_registers.places(root, form, height, owner)

    def registers(self, places: Sequence[RootPlace]) -> Derived:
        return root_registers.registers(places)

    def regime(self, place: RootPlace) -> Regime:
        return root_registers.regime(place)

    def has_vectors(self, code: bytes) -> bool:  # noqa: ARG002
        """Return False: what leads to the handlers is a table of addresses, and no code that looks like another's."""
        return False


def _number(word: int) -> int:
    """Return which entry of its table an entry would be, if addresses led to themselves."""
    return (word & _ADDRESS) >> PAGE_BITS & (1 << LEVELS_5.levels[-1].high - PAGE_BITS + 1) - 1


def _is_large(word: int) -> bool:
    return bool(word & _PS) and not word & _MISALIGNED
