"""What page tables look like in memory, with no register to go by: entries of eight bytes, Sv39 to Sv57.

A leaf and an entry that leads to a table are told apart by R, W and X, and a leaf of the G-stage by U, which all of
those have.  Source: The RISC-V Privileged Architecture, "Virtual Address Translation Process", "Guest Physical Address
Translation"; that leaves of a guest's memory grant everything is hypervisors' habit.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.model import Derived, Privilege, Regime
from gdbtools.arch.riscv.tables.descriptors import PageEntry, WideEntry, table_entry
from gdbtools.arch.riscv.tables.geometry import NAPOT_BITS, PAGE_BITS, SCHEMES
from gdbtools.arch.riscv.translation import root_registers
from gdbtools.arch.table_heuristics import NOTHING, Contents, Leaves, Owner, RootPlace, TableForm, TableHeuristics

_V, _R, _W, _X, _U, _G, _A, _D = (
    PageEntry.field(name).mask for name in ("V", "R", "W", "X", "U", "G", "A", "D")
)  # fmt: skip
_LEAF: Final = _R | _W | _X
_PPN: Final = table_entry(8).field("NextTable").mask
# What no entry has: reserved bits, the reserved memory type, and what a table's entry may not say.
_NEVER: Final = WideEntry.reserved_mask() & ~_PPN
_TABLES_NEVER: Final = _NEVER | WideEntry.N.mask | WideEntry.PBMT.mask | _A | _D | _U
_RESERVED_TYPE: Final = WideEntry.PBMT.mask
_WORDS: Final = struct.Struct("<512Q")
_SAMPLE: Final = struct.Struct("<" + "Q504x" * 8)
_SCHEMES: Final = SCHEMES[64].values()
_SHIFT: Final = PAGE_BITS - 10
"""An entry has its page number two places below where an address has it."""


class WideTables(TableHeuristics):
    """Tables of entries of eight bytes, all of 4 KiB but for a guest's root."""

    forms = (
        TableForm(
            granule_bits=PAGE_BITS,
            block_heights=tuple(range(1, max(each.depth for each in _SCHEMES))),
            input_bits=max(each.input_bits for each in _SCHEMES),
            concatenated_bits=2,
        ),
    )
    has_small_roots = False
    upper_first = (1 << 64) - (1 << max(each.input_bits for each in _SCHEMES) - 1)
    plain_kind = _V
    stack = "sp"

    def is_table(self, page: bytes) -> bool:
        """Look at a few words, then at all: what is not valid may be anything, what is has to be an entry.

        A small number is no entry but of address 0, and that is nobody's but in front.
        """
        if any(word & _V and not _is_entry(word) for word in _SAMPLE.unpack(page)):
            return False
        words = _WORDS.unpack(page)
        valid = {word for word in words if word & _V}
        return bool(valid) and all(_is_entry(word) and (word & _PPN or word == words[0]) for word in valid)

    def contents(self, entries: bytes) -> Contents:
        words = struct.unpack(f"<{len(entries) // 8}Q", entries)
        valid = [word for word in words if word & _V]
        if not valid:
            return NOTHING
        leaves: int | None = None
        for word in valid:
            if word & _LEAF:
                leaves = (leaves or 0) | (word & _PPN) << _SHIFT
        above = [word for word in valid if not word & _LEAF]
        return Contents(
            valid=len(valid),
            first=words.index(valid[0]),
            last=len(words) - 1 - words[::-1].index(valid[-1]),
            tables=frozenset((word & _PPN) << _SHIFT for word in above),
            kinds=frozenset(word & ~_PPN for word in above),
            blocks=leaves,
        )

    def may_be_last(self, contents: Contents) -> bool:
        """Return whether a table may be of the last level: there no entry leads to a table."""
        return not contents.tables

    def owner(self, leaves: Sequence[Leaves]) -> Owner:
        """Tell a guest's memory, all of which is user mode's and mostly grants everything, from a process's.

        Tables of a process have the kernel's in them, too: the kernel's own have nothing of user mode.
        """
        users = _share(leaves, lambda word: bool(word & _U))
        if users == 1 and _share(leaves, lambda word: word & _LEAF == _LEAF) > 1 / 2:
            return Owner.VIRTUAL_MACHINE
        return Owner.USER if users else Owner.KERNEL

    def places(
        self, root: PA, form: TableForm, height: int, owner: Owner, level: Privilege | None  # noqa: ARG002
    ) -> Sequence[RootPlace]:  # fmt: skip
        return root_registers.places(root, form, height, owner)

    def registers(self, places: Sequence[RootPlace]) -> Derived:
        return root_registers.registers(places)

    def regime(self, place: RootPlace) -> Regime:
        return root_registers.regime(place)

    def has_vectors(self, code: bytes) -> bool:  # noqa: ARG002
        """Return False: there is one entry for all exceptions, and nothing of it is the same in two kernels."""
        return False


def _is_entry(word: int) -> bool:
    if not word & _LEAF:
        return not word & _TABLES_NEVER
    if word & _NEVER or word & (_W | _R) == _W or word & _RESERVED_TYPE == _RESERVED_TYPE:
        return False
    return not word & WideEntry.N.mask or (word & _PPN) >> 10 & (1 << NAPOT_BITS) - 1 == 1 << NAPOT_BITS - 1


def _share(leaves: Iterable[Leaves], wanted: Callable[[int], bool]) -> float:
    weighed = [(each.size_bytes, wanted(each.descriptor)) for each in leaves]
    return sum(weight for weight, fits in weighed if fits) / max(1, sum(weight for weight, _ in weighed))
