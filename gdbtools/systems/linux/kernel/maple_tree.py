"""The tree that a kernel since 6.1 keeps an address space's areas in.

Source: Linux, `include/linux/maple_tree.h` and `lib/maple_tree.c`: a node is aligned to 256 bytes, and what leads to
one has its type in bits 6:3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gdbtools.errors import Unavailable
from gdbtools.systems.linux.kernel.view import Memory

_NODE_BYTES: Final = 256
_TYPE_SHIFT: Final = 3
_TYPES: Final = 0xF
_LEAF, _RANGE, _GAPS = 1, 2, 3
"""maple_leaf_64, maple_range_64, maple_arange_64."""
_STRUCTURES: Final = {_LEAF: "maple_range_64", _RANGE: "maple_range_64", _GAPS: "maple_arange_64"}
_LAST: Final = (1 << 64) - 1
_DEEPEST: Final = 16
_MOST: Final = 1 << 20
_RESERVED: Final = 4096
"""Below this, what is no pointer: `XA_ZERO_ENTRY` and its like."""
_INTERNAL: Final = 0b10
"""Of an entry's bits 1:0: a node, or something of the tree's own, and no pointer of its user."""


def entries(memory: Memory, root: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first, last, entry) for everything that a tree has, by rising index; `root` is its `ma_root`.

    Raises `Unavailable` for a tree that does not hold together: nodes whose indices do not rise, or that go round.
    """
    if root & 0b11 != _INTERNAL:
        if root:
            yield 0, 0, root
        return
    for count, found in enumerate(_under(memory, root, 0, _LAST, 0)):
        if count == _MOST:
            raise Unavailable("a maple tree has more entries than any address space")
        yield found


def _under(memory: Memory, node: int, low: int, high: int, depth: int) -> Iterator[tuple[int, int, int]]:
    kind, at = node >> _TYPE_SHIFT & _TYPES, node & -_NODE_BYTES
    if kind not in _STRUCTURES or depth > _DEEPEST:
        raise Unavailable(f"a maple tree leads to {node:#x}, which is no node")
    view = memory.view(_STRUCTURES[kind], at)
    pivots, slots = view.numbers("pivot"), view.numbers("slot")
    first = low
    for index, slot in enumerate(slots):
        last = pivots[index] if index < len(pivots) else high
        # Behind the last pivot in use there are zeros.
        last = high if last == 0 and index else last
        if not first <= last <= high:
            raise Unavailable(f"the indices of the maple tree's node at {at:#x} do not rise")
        if kind != _LEAF:
            if slot:
                yield from _under(memory, slot, first, last, depth + 1)
        elif slot >= _RESERVED and slot & 0b11 != _INTERNAL:
            yield first, last, slot
        if last == high:
            return
        first = last + 1
