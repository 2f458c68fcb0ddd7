"""The device tree that a guest was given, found in the memory that the second stage maps for it.

All of it is in memory that the guest has, and its memory nodes have the very place at which it lies.  It is looked for
where hypervisors and QEMU put one, at multiples of 2 MiB, and else wherever a loader may have, at every page.  Source:
Linux, Documentation/arch/arm64/booting.rst; Xen, place_modules(), and libxl, xc_dom_arm.c; QEMU, arm_load_dtb().
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from gdbtools.addresses import IPA, PA
from gdbtools.analysis.devices.device_map import DeviceMap, device_map
from gdbtools.analysis.devices.flattened_tree import HEADER_BYTES, MAGIC, NoTree, header, parse
from gdbtools.analysis.devices.tree_owner import Ownership, TreeOwner, ownership
from gdbtools.analysis.guests.memory import GuestMemory
from gdbtools.arch.model import Read
from gdbtools.errors import Unreadable
from gdbtools.systems.structures import Extent
from gdbtools.units import PAGE_BYTES

STEP: Final = 2 << 20
MOST_PAGES: Final = 1 << 16
"""How many pages are looked at: 256 MB, in which the tools of Xen put a tree."""


@dataclass(frozen=True)
class GuestTree:
    """A device tree in a guest's memory, what it says is where, and whose it is."""

    ipa: IPA
    pa: PA
    map: DeviceMap
    whose: Ownership


@dataclass(frozen=True)
class TreeSearch:
    """The device trees in a guest's memory, in order of address.

    `places` are how many places were looked at, of which so many were `unreadable`.  `looked_through` is how much of
    the memory, in bytes, where that is not all of it.
    """

    trees: tuple[GuestTree, ...]
    unreadable: int
    places: int
    looked_through: int | None

    @property
    def believed(self) -> Sequence[GuestTree]:
        """Those that are shown to be the guest's, else those that are not shown to be another's."""
        for owner in (TreeOwner.GUEST, TreeOwner.NOT_SHOWN):
            found = [each for each in self.trees if each.whose.owner is owner]
            if found:
                return found
        return ()


def guest_trees(memory: GuestMemory, glance: Read, machine: Sequence[Extent] | None) -> TreeSearch:
    """Look for device trees in a guest's memory; where the likely places have none of its own, page by page.

    Pages are looked at by `glance`.  `machine` is where the machine has memory, None where nobody says.
    """
    looked = _Looked(memory, machine)
    looked.through([*_places(memory, STEP)], memory.read)
    likely = looked.search()
    if likely.believed:
        return likely
    pages = [*islice(_places(memory, PAGE_BYTES), MOST_PAGES + 1)]
    looked.through([each for each in pages[:MOST_PAGES] if each[0] % STEP], glance)
    return looked.search(MOST_PAGES * PAGE_BYTES if len(pages) > MOST_PAGES else None)


def _places(memory: GuestMemory, step: int) -> Iterator[tuple[int, PA]]:
    """Yield where a tree may begin: the guest's address, and the physical one."""
    for run in memory.runs:
        for ipa in range(-(-run.first // step) * step, run.last + 1, step):
            yield ipa, PA((run.output or 0) + run.offset_of(IPA(ipa)))


@dataclass
class _Looked:
    """What was found so far, by the bytes of each tree."""

    memory: GuestMemory
    machine: Sequence[Extent] | None
    found: dict[bytes, GuestTree] = field(default_factory=dict)
    unreadable: int = 0
    places: int = 0

    def search(self, looked_through: int | None = None) -> TreeSearch:
        trees = sorted(self.found.values(), key=lambda each: each.ipa)
        return TreeSearch(tuple(trees), self.unreadable, self.places, looked_through)

    def through(self, places: Sequence[tuple[int, PA]], glance: Read) -> None:
        self.places += len(places)
        for ipa, pa in places:
            try:
                if glance(pa, len(MAGIC)) == MAGIC:
                    self._at(ipa, pa)
            except Unreadable:
                self.unreadable += 1

    def _at(self, ipa: int, pa: PA) -> None:
        """Take what lies at an address for a tree, if it is one, and says that there is memory where it lies."""
        read = self.memory.read_ipa
        try:
            data = read(ipa, header(read(ipa, HEADER_BYTES)).used_bytes)
            root = parse(data)
            said = device_map(root)
        except NoTree:
            return
        if data not in self.found and said.memory_at(ipa) is not None:
            whose = ownership(root, said, (ipa, pa), self.memory, self.machine)
            self.found[data] = GuestTree(IPA(ipa), pa, said, whose)
