"""Raw images of physical memory, `PATH@BASE`: byte 0 of the file is physical address BASE.

A sparse one costs what it holds: the file is mapped, and its holes read as zeros.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from gdbtools.addresses import PA
from gdbtools.errors import UsageError
from gdbtools.machine.dumps.dump import Dump, map_file, window
from gdbtools.machine.dumps.files import one_line, open_file
from gdbtools.machine.layers import Ranges


def open_raw(images: Sequence[tuple[Path, PA]]) -> Dump:
    """Open raw images as one memory: (file, physical address of its first byte) each; they may not overlap.

    They do not say of which architecture they are."""
    views = [(path, base, map_file(path)) for path, base in images]
    views.sort(key=lambda each: each[1])
    for path, base, view in views:
        if base + len(view) > 1 << 64:
            raise UsageError(f"{path} has {len(view)} bytes: from {base:#x} on they go past the last address there is")
    for (path, base, view), (following, start, _) in pairwise(views):
        if start < base + len(view):
            raise UsageError(
                f"{path} and {following} both hold physical address {start:#x}; {path} has {len(view):#x} bytes"
            )
    ranges = tuple(
        replace(window(view, 0, base, len(view)), data=partial(_data, path, len(view))) for path, base, view in views
    )
    names = ", ".join(path.name for path, _, _ in views)
    return Dump("", Ranges(ranges, f"the raw image{'s' if len(views) > 1 else ''} {names}"))


def _data(path: Path, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file that are no holes, (offset, size): all of it where the file system does not tell."""
    with one_line(str(path)), open_file(path) as file:
        at = 0
        while at < size_bytes:
            try:
                first = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                yield at, size_bytes - at
                return
            at = min(os.lseek(file.fileno(), first, os.SEEK_HOLE), size_bytes)
            yield first, at - first
