"""A flattened device tree, as firmware and hypervisors hand it to a kernel: bytes to nodes.

Source: Devicetree Specification v0.4, "Flattened Devicetree (DTB) Format".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

MAGIC: Final = bytes.fromhex("d00dfeed")
HEADER_BYTES: Final = 40
ALIGNMENT: Final = 8
"""Where a tree may begin in memory."""
LARGEST_BYTES: Final = 2 << 20
"""Arm64's boot protocol has none that is larger."""
_BEGIN_NODE, _END_NODE, _PROP, _NOP, _END = 1, 2, 3, 4, 9
_VERSIONS: Final = (16, 17)
_CELL: Final = struct.Struct(">I")


class NoTree(ValueError):
    """Bytes that begin as a tree does, and are none."""


@dataclass(frozen=True)
class Header:
    """Where in a tree its structure and its strings are, in bytes from its beginning."""

    total_bytes: int
    structure: int
    strings: int
    strings_bytes: int
    structure_bytes: int

    @property
    def used_bytes(self) -> int:
        """How much of it says something: QEMU leaves a megabyte behind that."""
        return max(self.structure + self.structure_bytes, self.strings + self.strings_bytes)


@dataclass(frozen=True)
class Node:
    """A node with its properties as they are written, and the nodes below it."""

    name: str
    properties: Mapping[str, bytes]
    children: tuple[Node, ...] = ()

    def cells(self, name: str) -> tuple[int, ...]:
        """Return a property as 32-bit numbers; none where there is no such property."""
        data = self.properties.get(name, b"")
        return tuple(each for (each,) in _CELL.iter_unpack(data[: len(data) // 4 * 4]))

    def strings(self, name: str) -> tuple[str, ...]:
        """Return a property as a list of strings; none where there is no such property."""
        return tuple(each.decode("ascii", "replace") for each in self.properties.get(name, b"").split(b"\0") if each)


def header(data: bytes) -> Header:
    """Read a tree's header; raise `NoTree` for one that cannot be a tree's."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        raise NoTree("no header")
    _, total, structure, strings, _, _, oldest, _, strings_bytes, structure_bytes = struct.unpack(">10I", data[:40])
    parts = ((structure, structure_bytes), (strings, strings_bytes))
    if oldest not in _VERSIONS or total > LARGEST_BYTES:
        raise NoTree("another version, or too large")
    if structure % 4 or any(at < HEADER_BYTES or at + size > total for at, size in parts):
        raise NoTree("its parts are not in it")
    return Header(total, structure, strings, strings_bytes, structure_bytes)


def parse(data: bytes) -> Node:
    """Return the root node of a tree; raise `NoTree` for bytes that are none."""
    found = header(data)
    if len(data) < found.used_bytes:
        raise NoTree("it is cut off")
    strings = data[found.strings : found.strings + found.strings_bytes]
    tokens = _tokens(data[found.structure : found.structure + found.structure_bytes], strings)
    try:
        if next(tokens) != (_BEGIN_NODE, "", b""):
            raise NoTree("it has no root")
        return _node("", tokens)
    except (StopIteration, struct.error, RecursionError):
        raise NoTree("its structure is not one") from None


def _tokens(structure: bytes, strings: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Yield each token with its name and its value."""
    at = 0
    while True:
        (token,) = _CELL.unpack_from(structure, at)
        at += 4
        if token == _BEGIN_NODE:
            name, _, _ = structure[at:].partition(b"\0")
            at += len(name) + 1
            yield token, name.decode("ascii", "replace"), b""
        elif token == _PROP:
            size, offset = struct.unpack_from(">II", structure, at)
            at += 8
            name, _, _ = strings[offset:].partition(b"\0")
            yield token, name.decode("ascii", "replace"), structure[at : at + size]
            at += size
        elif token in (_END_NODE, _END):
            yield token, "", b""
        elif token != _NOP:
            raise NoTree(f"token {token:#x}")
        at = -(-at // 4) * 4


def _node(name: str, tokens: Iterator[tuple[int, str, bytes]]) -> Node:
    properties: dict[str, bytes] = {}
    children: list[Node] = []
    for token, called, value in tokens:
        if token == _PROP:
            properties[called] = value
        elif token == _BEGIN_NODE:
            children.append(_node(called, tokens))
        elif token == _END_NODE:
            return Node(name, properties, tuple(children))
        else:
            break
    raise NoTree("a node does not end")
