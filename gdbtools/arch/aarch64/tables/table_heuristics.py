"""What VMSAv8-64 tables look like in memory, with no register to go by.

Little-endian tables, and addresses below 2^48: physical memory above that is nowhere, and with it the two layouts of
52 bits are as the plain one.  Source: DDI 0487, "VMSAv8-64 translation table format descriptors", "Translation
granules", and "Exception vectors" for what a vector table is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.aarch64.tables.descriptors import (
    AP_EL0,
    AP_READ_ONLY,
    KIND,
    S2AP_READ,
    S2AP_WRITE,
    TYPE_BLOCK,
    TYPE_TABLE_OR_PAGE,
    VALID,
    Layout,
    LeafDescriptor,
    Stage2Leaf,
    TwoLevelLeaf,
    leaf_descriptor,
)
from gdbtools.arch.aarch64.tables.geometry import CONCATENATED_BITS, GRANULE_BITS, LAST_LEVEL, WIDE_BITS, block_levels
from gdbtools.arch.aarch64.translation.root_registers import places, regime, registers
from gdbtools.arch.model import Derived, Regime
from gdbtools.arch.table_heuristics import NOTHING, Contents, Leaves, Owner, RootPlace, TableForm, TableHeuristics

_ADDRESS: Final = LeafDescriptor.OutputAddress.mask
_BLOCK_ADDRESS: Final = _ADDRESS & ~leaf_descriptor(GRANULE_BITS["4KB"] + 9, True).field("nT").mask
# Bits that no leaf has, of either stage, while addresses are below 2^48; software cannot have them in tables either.
_NEVER: Final = TwoLevelLeaf.reserved_mask() & Stage2Leaf.reserved_mask()
_SH_RESERVED: Final = LeafDescriptor.SH.into(0, 0b01)
_VALID, _AF, _SH, _KIND = VALID.mask, LeafDescriptor.AF.mask, LeafDescriptor.SH.mask, KIND.mask
_SMALL: Final = 1 << GRANULE_BITS["4KB"]
_WORDS: Final = struct.Struct("<512Q")
_SAMPLE: Final = struct.Struct("<" + "Q504x" * 8)
_EVEN: Final = bytes(range(0, 256, 2))
_UPPER_BITS: Final = 0xFFF << WIDE_BITS

# MemAttr of ordinary memory at stage 2: Write-Back, and with FWB "Write-Back whatever stage 1 says" or "as it says".
_ORDINARY_MEMATTR: Final = (0b1111, 0b0110, 0b0111)

# "Exception vectors": 16 entries of 0x80 bytes, aligned to 2KB.
_ENTRIES, _ENTRY_BYTES = 16, 0x80
_VECTORS_BYTES: Final = _ENTRIES * _ENTRY_BYTES
_ENTRY: Final = struct.Struct("<32I")
_FIRSTS: Final = struct.Struct("<" + f"I{_ENTRY_BYTES - 4}x" * _ENTRIES)
_NOP, _ERET, _BRANCH, _BRANCH_MASK = 0xD503201F, 0xD69F03E0, 0x14000000, 0xFC000000
_ENOUGH_ENTRIES: Final = 12
"""How many of the 16 have to look like one: some kernels leave those that cannot happen to chance."""


class A64Tables(TableHeuristics):
    """VMSAv8-64's three granules."""

    forms = tuple(
        TableForm(
            granule_bits=bits,
            block_heights=tuple(sorted(LAST_LEVEL - level for level in block_levels(bits, Layout.BITS_48))),
            input_bits=WIDE_BITS,
            concatenated_bits=CONCATENATED_BITS,
        )
        for bits in GRANULE_BITS.values()
    )
    upper_first = _UPPER_BITS
    plain_kind = TYPE_TABLE_OR_PAGE
    stack = "sp"

    def is_table(self, page: bytes) -> bool:
        """Look at a few words, then at the lowest bits of all, and only then at everything.

        Software's and ignored bits may be anything, but a pointer into the upper half is no entry of any kind, and a
        small odd number is no descriptor but of address 0.
        """
        for word in _SAMPLE.unpack(page):
            if word & _VALID and word & _NEVER:
                return False
        if not page[::8].translate(None, _EVEN):
            return False
        words = _WORDS.unpack(page)
        if max(words) >= _UPPER_BITS:
            return False
        valid = {word for word in words if word & _VALID}
        if any(word & _NEVER or word & _SH == _SH_RESERVED for word in valid):
            return False
        return all(word >= _SMALL or word & _AF or word == words[0] for word in valid)

    def contents(self, entries: bytes) -> Contents:
        words = struct.unpack(f"<{len(entries) // 8}Q", entries)
        valid = [word for word in words if word & _VALID]
        if not valid:
            return NOTHING
        blocks: int | None = None
        for word in valid:
            if word & _KIND == TYPE_BLOCK:
                blocks = (blocks or 0) | word & _BLOCK_ADDRESS
        others = valid if blocks is None else [word for word in valid if word & _KIND != TYPE_BLOCK]
        tables, kinds = [word & _ADDRESS for word in others], [word & ~_ADDRESS for word in others]
        return Contents.of(words, valid, tables, kinds, blocks)

    def owner(self, leaves: Sequence[Leaves]) -> Owner:
        """Tell the stages and levels apart by what only one of them would write.

        A virtual machine's memory is readable, writable, ordinary and of no ASID, which stage 1 could only say of what
        nobody may write.  A single level sets AP[1], which is RES1 there, never what would be PXN, and writes to some
        of it: an EL1 could not execute any.  Some set what would be nG as well, with NS, which no EL1 needs.
        """
        if _share(leaves, _is_virtual_machines, by_size=True) > 1 / 2:
            return Owner.VIRTUAL_MACHINE
        if _share(leaves, _is_single_levels) == 1 and any(not TwoLevelLeaf.AP.of(each.descriptor) & AP_READ_ONLY
                                                          for each in leaves):  # fmt: skip
            return Owner.HYPERVISOR
        return Owner.USER if _share(leaves, _is_users) > 1 / 2 else Owner.KERNEL

    def places(self, root: PA, form: TableForm, height: int, owner: Owner, level: int | None) -> Sequence[RootPlace]:
        return places(root, form, height, owner, level)

    def registers(self, places: Sequence[RootPlace]) -> Derived:
        return registers(places)

    def regime(self, place: RootPlace) -> Regime:
        return regime(place)

    def has_vectors(self, code: bytes) -> bool:
        """Look for 16 entries, most of which end in a branch or an exception return and are padded after it."""
        return any(_are_vectors(code, at) for at in range(0, len(code) - _VECTORS_BYTES + 1, _VECTORS_BYTES))


def _is_virtual_machines(descriptor: int) -> bool:
    readable = Stage2Leaf.S2AP.of(descriptor) == S2AP_READ | S2AP_WRITE
    return readable and not Stage2Leaf.FnXS.of(descriptor) and Stage2Leaf.MemAttr.of(descriptor) in _ORDINARY_MEMATTR


def _is_single_levels(descriptor: int) -> bool:
    leaf = TwoLevelLeaf(descriptor)
    return bool(leaf.AP & AP_EL0) and not leaf.PXN and bool(leaf.NS or not leaf.nG)


def _is_users(descriptor: int) -> bool:
    return bool(TwoLevelLeaf.AP.of(descriptor) & AP_EL0)


def _share(leaves: Iterable[Leaves], wanted: Callable[[int], bool], by_size: bool = False) -> float:
    weighed = [(each.size_bytes if by_size else each.count, wanted(each.descriptor)) for each in leaves]
    return sum(weight for weight, fits in weighed if fits) / max(1, sum(weight for weight, _ in weighed))


def _are_vectors(code: bytes, at: int) -> bool:
    if not all(_FIRSTS.unpack_from(code, at)):
        return False
    wrong = 0
    for entry in range(_ENTRIES):
        wrong += not _is_entry(_ENTRY.unpack_from(code, at + entry * _ENTRY_BYTES))
        if wrong > _ENTRIES - _ENOUGH_ENTRIES:
            return False
    return True


def _is_entry(instructions: Sequence[int]) -> bool:
    """Return whether these end in a way out, and only padding follows."""
    for instruction in reversed(instructions):
        if instruction in (0, _NOP):
            continue
        return instruction == _ERET or instruction & _BRANCH_MASK == _BRANCH
    return False
