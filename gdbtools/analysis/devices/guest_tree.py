"""The device tree that a guest was given, found in the memory that the second stage maps for it.

A tree is taken for the guest's own if all of it is in memory that the guest has, where hypervisors and QEMU put one (at
a multiple of 2 MiB), and if its memory nodes have the very place at which it lies.  Source: Linux,
Documentation/arch/arm64/booting.rst; Xen, place_modules(); QEMU, arm_load_dtb().
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import IPA, PA
from gdbtools.analysis.devices.device_map import DeviceMap, device_map
from gdbtools.analysis.devices.flattened_tree import HEADER_BYTES, MAGIC, NoTree, header, parse
from gdbtools.analysis.guests.census import Census
from gdbtools.arch.model import Read, Run
from gdbtools.errors import Unreadable

STEP: Final = 2 << 20


@dataclass(frozen=True)
class GuestTree:
    """A device tree in a guest's memory, and what it says is where."""

    ipa: IPA
    pa: PA
    map: DeviceMap


@dataclass(frozen=True)
class GuestMemory:
    """What a second stage maps: `runs` of memory, in order of address, and how much leads to the address that it has.

    Soft-invalid leaves are among them: what they keep is where the memory is.  `lost_tables` could not be read.
    """

    runs: Sequence[Run]
    read: Read
    mapped_bytes: int
    identity_bytes: int
    lost_tables: int

    def read_ipa(self, ipa: int, size_bytes: int) -> bytes:
        """Return bytes of the guest's memory; raise `Unreadable` where it has none."""
        parts: list[bytes] = []
        for run in self.runs:
            while size_bytes and run.first <= ipa <= run.last:
                offset = run.offset_of(IPA(ipa))
                take = min(size_bytes, run.last - ipa + 1)
                take = take if run.stride_bytes else min(take, run.leaf_bytes - offset)
                assert run.output is not None, "these have an output"
                parts.append(self.read(PA(run.output + offset), take))
                ipa, size_bytes = ipa + take, size_bytes - take
        if size_bytes:
            raise Unreadable(PA(ipa), size_bytes, "the second stage maps no memory there")
        return b"".join(parts)

    def pa_of(self, ipa: int) -> PA:
        """Return where an address of the guest's memory is."""
        run = next(each for each in self.runs if each.first <= ipa <= each.last)
        assert run.output is not None, "these have an output"
        return PA(run.output + run.offset_of(IPA(ipa)))


def guest_memory(found: Census, read: Read) -> GuestMemory:
    """Return the memory that a second stage maps, of which `found` is the census."""
    own = sum(each.own_address * each.leaf_bytes for each in found.groups)
    return GuestMemory(found.memory, read, sum(each.size_bytes for each in found.groups), own, len(found.unread))


@dataclass(frozen=True)
class TreeSearch:
    """The device trees that may be the guest's own, in order of address, and how much could not be looked at."""

    trees: tuple[GuestTree, ...]
    unreadable: int
    places: int


def guest_trees(memory: GuestMemory) -> TreeSearch:
    """Look for the guest's device tree at each place where one may be."""
    found: dict[bytes, GuestTree] = {}
    unreadable, places = 0, list(_places(memory))
    for ipa in places:
        try:
            data = _tree_at(ipa, memory.read_ipa)
        except Unreadable:
            unreadable += 1
            continue
        what = None if data is None or data in found else _mapped_by(data)
        if data is not None and what is not None and what.memory_at(ipa) is not None:
            found[data] = GuestTree(IPA(ipa), memory.pa_of(ipa), what)
    return TreeSearch(tuple(found.values()), unreadable, len(places))


def _places(memory: GuestMemory) -> Iterator[int]:
    for run in memory.runs:
        yield from range(-(-run.first // STEP) * STEP, run.last + 1, STEP)


def _tree_at(ipa: int, read: Callable[[int, int], bytes]) -> bytes | None:
    """Return the bytes of a tree, None where none begins."""
    if read(ipa, len(MAGIC)) != MAGIC:
        return None
    try:
        return read(ipa, header(read(ipa, HEADER_BYTES)).used_bytes)
    except NoTree:
        return None


def _mapped_by(data: bytes) -> DeviceMap | None:
    try:
        return device_map(parse(data))
    except NoTree:
        return None
