"""A device tree written anew with more nodes in it, for what boots by nodes that nothing else makes."""

from __future__ import annotations

import re
import struct
from dataclasses import replace

from gdbtools.analysis.devices.flattened_tree import MAGIC, Node, parse

HEADER_BYTES, RESERVED_BYTES, VERSION, OLDEST = 40, 16, 17, 16
_CELLS = re.compile(r"^cells_(\w+)$")
Value = int | str | tuple[int, ...] | None


def node(name: str, *children: Node, **properties: Value) -> Node:
    """Return a node; of the properties, `cells_size` is called `#size-cells`, and the like."""
    named = {_CELLS.sub(r"#\1-cells", each): value(what) for each, what in properties.items()}
    return Node(name, named, children)


def value(what: Value) -> bytes:
    if what is None:
        return b""
    if isinstance(what, str):
        return what.encode() + b"\0"
    return b"".join(struct.pack(">I", each) for each in (what if isinstance(what, tuple) else (what,)))


def with_nodes(blob: bytes, under: str, added: Node) -> bytes:
    """Return a tree with nodes and properties joined to one that is below the root."""
    root = parse(blob)
    children = tuple(
        replace(each, properties={**each.properties, **added.properties}, children=(*each.children, *added.children))
        if each.name == under
        else each
        for each in root.children
    )
    return flattened(replace(root, children=children))


def flattened(root: Node) -> bytes:
    """Return the bytes of a tree."""
    strings: dict[str, int] = {}
    end = 0

    def offset(name: str) -> int:
        nonlocal end
        if name not in strings:
            strings[name] = end
            end += len(name) + 1
        return strings[name]

    def padded(data: bytes) -> bytes:
        return data + b"\0" * (-len(data) % 4)

    def written(each: Node) -> bytes:
        begun = struct.pack(">I", 1) + padded(each.name.encode() + b"\0")
        for name, data in each.properties.items():
            begun += struct.pack(">III", 3, len(data), offset(name)) + padded(data)
        return begun + b"".join(map(written, each.children)) + struct.pack(">I", 2)

    structure = written(root) + struct.pack(">I", 9)
    names = b"".join(name.encode() + b"\0" for name in strings)
    at = HEADER_BYTES + RESERVED_BYTES
    total = at + len(structure) + len(names)
    numbers = (total, at, at + len(structure), HEADER_BYTES, VERSION, OLDEST, 0, len(names), len(structure))
    return MAGIC + struct.pack(">9I", *numbers) + bytes(RESERVED_BYTES) + structure + names
