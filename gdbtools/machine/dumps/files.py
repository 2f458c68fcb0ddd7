"""Files that are read: only what has an end is opened, and what can say why not says it in one line."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from gdbtools.errors import Malformed, Refused, Unavailable
from gdbtools.wording import size

SMALL_BYTES: Final = 1 << 24
"""How much of a file is read at once that holds a few registers: a thousand times what they take."""
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe, which has no end to wait for"),
    (stat.S_ISCHR, "a device, which may have no end, and may act on being opened"),
    (stat.S_ISBLK, "a device, which may act on being opened"),
    (stat.S_ISSOCK, "a socket"),
)


@contextmanager
def one_line(path: str, wanted: str = "read") -> Iterator[None]:
    """Turn the operating system's error about a file into one of ours; it is to be `wanted`, read or written."""
    if "\0" in path:
        raise Unavailable(f"{path!r} has a NUL in it; name a file that can be {wanted}")
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror or error}; name a file that can be {wanted}") from None


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading; raise `Refused` for a pipe, a device or a socket, before it is opened."""
    with one_line(str(path)):
        # Before: a device may act on being opened. And after: what has the name may have changed between.
        _check(path, path.stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check(path, os.fstat(descriptor).st_mode)
        except BaseException:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb")


def read_small(path: Path) -> bytes:
    """Read a file that has to be small, all of it; one that is not raises `Malformed`."""
    with one_line(str(path)), open_file(path) as file:
        data = file.read(SMALL_BYTES + 1)
    if len(data) > SMALL_BYTES:
        raise Malformed(f"{path} has more than {size(SMALL_BYTES)}, which no such file has; name another")
    return data


def _check(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    what = next((said for is_kind, said in _KINDS if is_kind(mode)), "no file")
    if stat.S_ISDIR(mode):
        raise Unavailable(f"{path} is {what}; name a file in it")
    raise Refused(f"{path} is {what}; copy what it gives to a file, and name that")
