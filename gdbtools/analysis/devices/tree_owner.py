"""Whose device tree it is that lies in a guest's memory: the guest's own, the machine's, or not shown to be either.

A hypervisor is booted by a tree of its own, which may lie on in memory that a guest has got: where that is mapped one
to one, the two look alike.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gdbtools import systems
from gdbtools.analysis.devices.device_map import DeviceMap, DeviceRegion
from gdbtools.analysis.devices.flattened_tree import Node
from gdbtools.analysis.guests.memory import GuestMemory
from gdbtools.systems.structures import Extent
from gdbtools.wording import name_of, size


class TreeOwner(enum.Enum):
    """Whose a tree is shown to be."""

    GUEST = enum.auto()
    MACHINE = enum.auto()
    NOT_SHOWN = enum.auto()

    @property
    def label(self) -> str:
        return name_of(self)


@dataclass(frozen=True)
class Ownership:
    """Whose a tree is, and what shows it, or why nothing does, in words."""

    owner: TreeOwner
    why: str


def ownership(
    root: Node, said: DeviceMap, place: tuple[int, int], memory: GuestMemory, machine: Sequence[Extent] | None
) -> Ownership:
    """Return whose a tree is that lies at `place`, the guest's address and the physical one.

    `said` is what the tree has at which address; `machine` is where the machine has memory, None where nobody says.
    """
    marked = _by_marks(root)
    if marked is not None:
        return marked
    of_tree = [(each.first, each.size_bytes) for each in said.memory]
    total, mapped = _bytes(of_tree), _common_bytes(of_tree, memory.places())
    may_be_machines = machine is None or _holds_most(of_tree, machine)
    is_one_to_one = place[0] == place[1]
    if mapped == total and not (is_one_to_one and may_be_machines):
        return Ownership(TreeOwner.GUEST, f"all of the {size(total)} of memory that it says are mapped for this guest")
    share = f"of the {size(total)} of memory that it says, {size(mapped)} are mapped for this guest"
    if not may_be_machines and _describes(said, memory):
        why = f"it has all that is mapped for this guest, and not the machine's memory; {share}"
        return Ownership(TreeOwner.GUEST, why)
    if not is_one_to_one:
        return Ownership(TreeOwner.NOT_SHOWN, f"{share}, and nothing shows whose it is")
    if machine is None or mapped == total:
        return Ownership(TreeOwner.NOT_SHOWN, "it lies one to one, and may be the one that booted the machine")
    return Ownership(TreeOwner.MACHINE, f"it lies one to one, and has the machine's memory: {share}")


def _by_marks(root: Node) -> Ownership | None:
    """Return whose a tree is by what a hypervisor writes into its guests', or is told in its own."""
    words = {word for each in _nodes(root) for word in each.strings("compatible")}
    for marks in systems.tree_marks():
        if own := sorted(words & marks.own):
            return Ownership(TreeOwner.MACHINE, f"it tells {marks.title} what to start, in a node {own[0]}")
        if given := sorted(words & marks.given):
            return Ownership(TreeOwner.GUEST, f"it has the node {given[0]}, which {marks.title} writes for its guests")
    return None


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for each in node.children:
        yield from _nodes(each)


def _bytes(extents: Sequence[Extent | tuple[int, int]]) -> int:
    return sum(size_bytes for _, size_bytes in extents)


def _common_bytes(one: Sequence[tuple[int, int]], other: Sequence[Extent]) -> int:
    """Return how much two lists have in common, neither of which has anything twice."""
    pairs = ((max(a, b), min(a + a_bytes, b + b_bytes)) for a, a_bytes in one for b, b_bytes in other)
    return sum(max(end - first, 0) for first, end in pairs)


def _holds_most(of_tree: Sequence[tuple[int, int]], machine: Sequence[Extent]) -> bool:
    """Return whether a tree has all of the largest memory that the machine has: the others may be devices'."""
    largest = max(machine, key=lambda each: each[1], default=None)
    return largest is None or _common_bytes(of_tree, [largest]) == largest[1]


def _describes(said: DeviceMap, memory: GuestMemory) -> bool:
    """Return whether all memory that is mapped for the guest is in the tree: its memory, or a device with some."""
    regions: Sequence[DeviceRegion] = (*said.memory, *said.devices)
    return all(
        any(each.first <= first and first + size_bytes - 1 <= each.last for each in regions)
        for first, size_bytes in memory.places()
    )
