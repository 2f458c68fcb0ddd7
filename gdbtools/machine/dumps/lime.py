"""LiME: what the Linux Memory Extractor writes, ranges of physical memory with a header before each.

Source: `lime_mem_range_header` in LiME 1.9: magic, version 1, first and last physical address, 8 reserved bytes.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from gdbtools.addresses import PA
from gdbtools.errors import Malformed
from gdbtools.machine.dumps import magic
from gdbtools.machine.dumps.dump import RANGES, Dump, map_file, placed
from gdbtools.machine.layers import Ranges

VERSION = 1
HEADER = struct.Struct("<4sIQQ8x")


def open_lime(path: Path) -> Dump:
    """Open a LiME dump; it has no registers, and does not say whose it is."""
    view = map_file(path)
    return Dump("", Ranges(placed(path, view, _places(path, view)), f"the LiME dump {path.name}"))


def _places(path: Path, view: mmap.mmap) -> list[tuple[PA, int, int]]:
    places: list[tuple[PA, int, int]] = []
    at = 0
    while at < len(view) and len(places) <= RANGES:
        header = view[at : at + HEADER.size]
        if len(header) < HEADER.size:
            raise Malformed(f"{path} is cut short in a LiME header; take the dump again")
        begins, version, first, last = HEADER.unpack(header)
        if begins != magic.LIME:
            raise Malformed(f"{path} has no LiME header at offset {at:#x}, where one is due; take the dump again")
        if version != VERSION:
            raise Malformed(f"{path} is LiME of version {version}; take it with LiME 1, format=lime")
        if last < first:
            raise Malformed(f"{path} has a LiME range from {first:#x} to {last:#x}; take the dump again")
        places.append((PA(first), last - first + 1, at + HEADER.size))
        at += HEADER.size + last - first + 1
    return places
