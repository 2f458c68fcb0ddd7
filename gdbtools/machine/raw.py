"""A raw image of physical memory, `PATH@BASE`: byte 0 of the file is physical address BASE."""

from __future__ import annotations

import mmap
from pathlib import Path

from gdbtools.errors import Malformed
from gdbtools.machine.model import Range, Ranges, one_line


def map_file(path: Path) -> mmap.mmap:
    """Map a file for reading; an empty one, or one that cannot be read, raises an expected error."""
    with one_line(str(path)), path.open("rb") as file:
        if path.stat().st_size == 0:
            raise Malformed(f"{path} is empty; name a dump that has something in it")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def window(view: mmap.mmap, offset: int, pa: int, size_bytes: int) -> Range:
    """Give the part of a mapped file from `offset` on as physical memory at `pa`."""
    return Range(pa, size_bytes, lambda at, take: view[offset + at : offset + at + take])


def open_raw(path: Path, base: int) -> Ranges:
    """Open a raw image whose first byte is physical address `base`."""
    view = map_file(path)
    return Ranges((window(view, 0, base, len(view)),), f"the raw image {path.name}")
