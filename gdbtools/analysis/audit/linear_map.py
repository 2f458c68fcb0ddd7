"""The linear map: the part of an address space that has all of memory, one page after another.

It is called physmap, kpm or, by its base, PAGE_OFFSET.  No symbol is needed: of all distances between an address and
where that leads, one is met for more pages than any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from gdbtools.addresses import VA
from gdbtools.arch.model import Rights


@dataclass(frozen=True, slots=True)
class LinearPiece:
    """Leaves of one kind that lead to one place after another: `output` is a guest's own address in its own space."""

    first: int
    size_bytes: int
    output: int
    rights: Rights

    @property
    def distance(self) -> int:
        return self.first - self.output


@dataclass(frozen=True, slots=True)
class LinearMap:
    """Where address 0 would be, and the parts of it that are mapped: (first, size in bytes)."""

    base: VA
    size_bytes: int
    extents: tuple[tuple[VA, int], ...]

    def has(self, address: int) -> bool:
        return any(first <= address < first + size for first, size in self.extents)


_ADDRESSES = (1 << 64) - 1
LEAST_BYTES = 1 << 20
"""What maps less is no map of all memory."""


MUCH = 2
"""Another map of all memory, by a second base, has at least the largest one's part of so many."""


def linear_bases(pieces: Iterable[LinearPiece]) -> Collection[VA]:
    """Return where address 0 would be in every map of memory that has much of what the largest has, that one first."""
    sizes = _sizes(pieces).most_common()
    return [VA(base & _ADDRESSES) for base, size in sizes if size >= max(LEAST_BYTES, sizes[0][1] // MUCH)]


def linear_map(pieces: Sequence[LinearPiece]) -> LinearMap | None:
    """Return the map of memory with the most in it; None where the largest is small."""
    sizes = _sizes(pieces)
    if not sizes:
        return None
    base, size = sizes.most_common(1)[0]
    if size < LEAST_BYTES:
        return None
    extents: list[tuple[VA, int]] = []
    for first, length in sorted((each.first, each.size_bytes) for each in pieces if each.distance == base):
        if extents and sum(extents[-1]) == first:
            extents[-1] = (extents[-1][0], extents[-1][1] + length)
        else:
            extents.append((VA(first), length))
    return LinearMap(VA(base & _ADDRESSES), size, tuple(extents))


def _sizes(pieces: Iterable[LinearPiece]) -> Counter[int]:
    """Return how much is mapped at each distance between an address and where it leads."""
    sizes = Counter[int]()
    for each in pieces:
        sizes[each.distance] += each.size_bytes
    return sizes
