"""What a device tree has at which address, as the CPUs see it: memory, and the registers of devices.

Source: Devicetree Specification v0.4, "reg", "ranges", "#address-cells and #size-cells", "/memory node"; of PCI, IEEE
Std 1275's bus binding, whose addresses have three cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gdbtools.analysis.devices.flattened_tree import Node

_CELLS: Final = {"#address-cells": 2, "#size-cells": 1}
"""What counts where a node does not say."""
_PCI: Final = "pci"
_UNTRANSLATED: Final = ("reserved-memory", "cpus", "chosen")
"""Nodes below the root whose registers are no device's."""

Translate = Callable[[int], "int | None"]


@dataclass(frozen=True)
class DeviceRegion:
    """Addresses of one node: `path` names it, `compatible` says what it is, the most specific first."""

    first: int
    size_bytes: int
    path: str
    compatible: tuple[str, ...] = ()

    @property
    def last(self) -> int:
        return self.first + self.size_bytes - 1

    @property
    def name(self) -> str:
        """Return what it is called for short: `serial@9000000 (arm,pl011)`."""
        called = self.path.rpartition("/")[2]
        return f"{called} ({self.compatible[0]})" if self.compatible else called


@dataclass(frozen=True)
class DeviceMap:
    """All that a tree has at addresses."""

    memory: tuple[DeviceRegion, ...]
    devices: tuple[DeviceRegion, ...]

    def memory_at(self, address: int) -> DeviceRegion | None:
        return _at(self.memory, address)

    def device_at(self, address: int) -> DeviceRegion | None:
        return _at(self.devices, address)


def _at(regions: Sequence[DeviceRegion], address: int) -> DeviceRegion | None:
    """Return the region that an address is in, the smallest of several."""
    found = [each for each in regions if each.first <= address <= each.last]
    return min(found, key=lambda each: each.size_bytes, default=None)


def device_map(root: Node) -> DeviceMap:
    """Return what the whole tree has at addresses."""
    memory = tuple(
        DeviceRegion(first, size, f"/{each.name}")
        for each in root.children
        if each.strings("device_type") == ("memory",)
        for first, size in _registers(each, root)
    )
    known = {each.path for each in memory}
    found = _devices(root, "", lambda address: address)
    return DeviceMap(memory, tuple(each for each in found if each.path not in known))


def _devices(parent: Node, path: str, translate: Translate) -> Iterator[DeviceRegion]:
    for each in parent.children:
        if not path and each.name in _UNTRANSLATED:
            continue
        name = f"{path}/{each.name}"
        compatible = each.strings("compatible")
        for first, size in _registers(each, parent):
            at = translate(first)
            if at is not None and size:
                yield DeviceRegion(at, size, name, compatible)
        if each.strings("device_type") == (_PCI,):
            for _, at, size in _ranges(each, parent):
                reached = translate(at)
                if reached is not None:
                    yield DeviceRegion(reached, size, name, compatible)
        elif "ranges" in each.properties:
            yield from _devices(each, name, _through(each, parent, translate))


def _through(bus: Node, parent: Node, translate: Translate) -> Translate:
    """Return how an address on a bus becomes the CPUs': by its `ranges`, of which an empty one changes nothing."""
    if not bus.properties["ranges"]:
        return translate
    ranges = list(_ranges(bus, parent))

    def through(address: int) -> int | None:
        for child, at, size in ranges:
            if child <= address < child + size:
                return translate(at + address - child)
        return None

    return through


def _count(node: Node, name: str) -> int:
    return (node.cells(name) or (_CELLS[name],))[0]


def _registers(node: Node, parent: Node) -> Iterator[Sequence[int]]:
    """Yield where registers are to the parent, and their size in bytes."""
    return _rows(node.cells("reg"), _count(parent, "#address-cells"), _count(parent, "#size-cells"))


def _ranges(bus: Node, parent: Node) -> Iterator[Sequence[int]]:
    """Yield where a window is on the bus, where it is to the parent, and its size in bytes."""
    counts = _count(bus, "#address-cells"), _count(parent, "#address-cells"), _count(bus, "#size-cells")
    return _rows(bus.cells("ranges"), *counts)


def _rows(cells: Sequence[int], *counts: int) -> Iterator[Sequence[int]]:
    """Yield rows of numbers, each of so many cells; what is left over at the end is left out."""
    width = sum(counts)
    for start in range(0, len(cells) - width + 1, width) if width else ():
        row, at = list[int](), start
        for count in counts:
            number = 0
            for cell in cells[at : at + count]:
                number = number << 32 | cell
            row.append(number)
            at += count
        yield row
