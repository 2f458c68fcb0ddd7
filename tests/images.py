"""Images of physical memory with translation tables in them, and a search over them."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gdbtools.analysis.roots.evidence import Sign, Standing
from gdbtools.analysis.roots.holders import Holder
from gdbtools.analysis.roots.reading import FoundRoot
from gdbtools.analysis.roots.search import Ranking, Search
from gdbtools.arch import ARCHITECTURES
from gdbtools.errors import Unreadable
from tests.tables import Tables

ARM = ARCHITECTURES["aarch64"]
BASE = 0x4000_0000
PAGE = 1 << 12
KERNEL = {"UXN": 1}
USER = {"AP": 0b01, "nG": 1, "PXN": 1}
CODE = 0x0020_0000
"""Where an image has what is neither tables nor empty, from its beginning on."""


@dataclass
class Image:
    """Some megabytes of memory from BASE on: zeros, and what is put there."""

    size_bytes: int = 16 << 20
    data: bytearray = field(init=False)

    def __post_init__(self) -> None:
        self.data = bytearray(self.size_bytes)

    def read(self, pa: int, size_bytes: int) -> bytes:
        at = pa - BASE
        if not 0 <= at <= self.size_bytes - size_bytes:
            raise Unreadable(pa, size_bytes, "the image ends before")
        return bytes(self.data[at : at + size_bytes])

    def put(self, pa: int, words: Iterable[int]) -> None:
        packed = b"".join(struct.pack("<Q", word) for word in words)
        self.data[pa - BASE : pa - BASE + len(packed)] = packed

    def add(self, tables: Tables) -> Tables:
        for at, word in tables.memory.items():
            self.put(at, [int(word)])
        return tables

    def fill(self, pa: int, size_bytes: int, seed: int = 1) -> None:
        """Put noise there, as code is to who looks for tables."""
        self.data[pa - BASE : pa - BASE + size_bytes] = random.Random(seed).randbytes(size_bytes)

    def point(self, addresses: Iterable[int], at: int = BASE + CODE) -> None:
        """Put pointers into memory, sixteen a page."""
        listed = list(addresses)
        for page in range(0, len(listed), 16):
            # Beside others: pages of pointers alone are seldom.
            self.put(at + (page // 16) * PAGE, [0x1_2345_6789_ABCE, *listed[page : page + 16]])

    def search(
        self,
        cpus: Sequence[Standing] = (),
        named: Mapping[int, Sign] | None = None,
        sizes: Mapping[int, int] | None = None,
        holders: Sequence[Holder] = (),
    ) -> Ranking:
        search = Search(ARM, self.read, [(BASE, self.size_bytes)], [(BASE, self.size_bytes)], cpus)
        for _ in search.look():
            pass
        return search.rank(named, sizes, holders)


def shareable(granule_bits: int, TnSZ: int) -> dict[str, int]:
    """Return SH where a leaf has it: with 52 bits at 4KB and 16KB, address bits are in its place."""
    return {} if TnSZ < 16 and granule_bits < 16 else {"SH": 3}


def kernel(image: Image, granule_bits: int, TnSZ: int, root: int, at: int, pages: int = 64) -> Tables:
    """Return an image a kernel in the upper half: maps all of the image, linear, and is pointed to from memory."""
    tables = Tables(granule_bits, TnSZ, root, _next=at)
    first = (1 << 64) - (1 << 64 - TnSZ)
    step, leaf = 1 << granule_bits, KERNEL | shareable(granule_bits, TnSZ)
    for offset in range(0, image.size_bytes, step):
        tables.map(first + offset, BASE + offset, **leaf, PXN=int(offset >= step * 4))
    # What is at the very top says how large the half is, as it does in kernels.
    tables.map((1 << 64) - step, BASE, **leaf)
    image.point(first + offset % image.size_bytes for offset in range(0x1000, pages * 0x5000, 0x5000))
    return image.add(tables)


def process(image: Image, granule_bits: int, TnSZ: int, root: int, at: int, count: int = 24) -> Tables:
    """Return an image a process: some pages low, and some at the top of the lower half."""
    tables = Tables(granule_bits, TnSZ, root, _next=at)
    step, leaf = 1 << granule_bits, USER | shareable(granule_bits, TnSZ)
    top = (1 << min(48, 64 - TnSZ)) - step * count
    for page in range(count):
        tables.map(0x40_0000 + page * step, BASE + CODE + page * step, **leaf)
        tables.map(top + page * step, BASE + CODE + (count + page) * step, **leaf, UXN=1)
    return image.add(tables)


def shown(found: FoundRoot) -> tuple[int, str, int, int]:
    """Return what matters of a root: where it is, in which register, granule and size."""
    place = found.place
    return place.root, place.register, place.form.granule_bits, place.input_bits
