"""What page tables look like in memory, with no register to go by: entries of eight bytes and of four.

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
_WIDE: Final = 64
_SHIFT: Final = PAGE_BITS - 10
"""An entry has its page number two places below where an address has it."""
_SAMPLED_BYTES: Final = 512
_UPPER_32: Final = 1 << 31
"""Where kernels of 32 bits are, by their habit: Sv32 has one range, and no half of it is anybody's."""


class PageTables(TableHeuristics):
    """Tables of 4 KiB, but for a guest's root, where MXLEN is `bits`."""

    has_small_roots = False
    plain_kind = _V
    stack = "sp"

    def __init__(self, bits: int) -> None:
        entry_bytes = bits // 8
        schemes = SCHEMES[bits].values()
        self.bits = bits
        self.halves_share_root = bits == _WIDE
        self.pointer_bytes = entry_bytes
        widest = max(each.input_bits for each in schemes)
        self.upper_first = (1 << 64) - (1 << widest - 1) if bits == _WIDE else _UPPER_32
        self.forms = (
            TableForm(
                granule_bits=PAGE_BITS,
                block_heights=tuple(range(1, max(each.depth for each in schemes))),
                input_bits=widest,
                concatenated_bits=2,
                entry_bits=entry_bytes.bit_length() - 1,
            ),
        )
        code = "Q" if entry_bytes == 8 else "I"
        self._words = struct.Struct(f"<{(1 << PAGE_BITS) // entry_bytes}{code}")
        every = (1 << PAGE_BITS) // _SAMPLED_BYTES
        self._sample = struct.Struct("<" + f"{code}{_SAMPLED_BYTES - entry_bytes}x" * every)
        self._ppn = table_entry(entry_bytes).field("NextTable").mask
        # What no entry has: reserved bits, the reserved memory type, and what a table's entry may not say.
        wide = entry_bytes == 8
        self._never = WideEntry.reserved_mask() & ~self._ppn if wide else 0
        self._contiguous = WideEntry.N.mask if wide else 0
        self._reserved_type = WideEntry.PBMT.mask if wide else 0
        self._tables_never = self._never | self._contiguous | self._reserved_type | _A | _D | _U

    def is_table(self, page: bytes) -> bool:
        """Look at a few words, then at all: what is not valid may be anything, what is has to be an entry.

        A small number is no entry but of address 0, and that is nobody's but in front.
        """
        if any(word & _V and not self._is_entry(word) for word in self._sample.unpack(page)):
            return False
        words = self._words.unpack(page)
        valid = {word for word in words if word & _V}
        return bool(valid) and all(self._is_entry(word) and (word & self._ppn or word == words[0]) for word in valid)

    def contents(self, entries: bytes) -> Contents:
        words = self.forms[0].words(entries)
        valid = [word for word in words if word & _V]
        if not valid:
            return NOTHING
        leaves: int | None = None
        for word in valid:
            if word & _LEAF:
                leaves = (leaves or 0) | (word & self._ppn) << _SHIFT
        above = [word for word in valid if not word & _LEAF]
        tables, kinds = [(word & self._ppn) << _SHIFT for word in above], [word & ~self._ppn for word in above]
        return Contents.of(words, valid, tables, kinds, leaves)

    def _is_entry(self, word: int) -> bool:
        if not word & _LEAF:
            return not word & self._tables_never
        if word & self._never or word & (_W | _R) == _W:
            return False
        if self._reserved_type and word & self._reserved_type == self._reserved_type:
            return False
        number = (word & self._ppn) >> 10
        return not word & self._contiguous or number & (1 << NAPOT_BITS) - 1 == 1 << NAPOT_BITS - 1

    def may_be_last(self, contents: Contents) -> bool:
        """Return whether a table may be of the last level: there no entry leads to a table."""
        return not contents.tables

    def say_tables(self, entries: Sequence[int]) -> bool:  # noqa: ARG002
        return True

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
        return root_registers.places(self.bits, root, form, height, owner)

    def registers(self, places: Sequence[RootPlace]) -> Derived:
        return root_registers.registers(self.bits, places)

    def regime(self, place: RootPlace) -> Regime:
        return root_registers.regime(self.bits, place)

    def has_vectors(self, code: bytes) -> bool:  # noqa: ARG002
        """Return False: there is one entry for all exceptions, and nothing of it is the same in two kernels."""
        return False


def _share(leaves: Iterable[Leaves], wanted: Callable[[int], bool]) -> float:
    weighed = [(each.size_bytes, wanted(each.descriptor)) for each in leaves]
    return sum(weight for weight, fits in weighed if fits) / max(1, sum(weight for weight, _ in weighed))
