"""Writing a file of the user's: whole, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gdbtools.errors import Refused, Unavailable, UsageError


def keep_apart(written: Sequence[tuple[str, str]], read: Iterable[str]) -> None:
    """Raise `Refused` where a file that is to be written is one that is read, or another that is written.

    A name that would be none raises `UsageError`.

    `written` are what asks for it, an option say, and the name that it gives; `read` the names of sources, `PATH@BASE`
    among them.  What a name leads to counts.  A pipe or a device is written to, and loses nothing.
    """
    sources = [_named(name) for name in read]
    earlier: list[tuple[str, Path]] = []
    for asked, name in written:
        if name == "-":
            raise UsageError(f"{asked} is the name of a file, and - would be standard output; name a file there")
        path = Path(name).expanduser()
        if _is_special(path):
            continue
        if any(_is_same(path, each) for each in sources):
            raise Refused(f"{name} is read for this answer, and {asked} would overwrite it; name another file there")
        for other, taken in earlier:
            if _is_same(path, taken):
                raise Refused(f"{other} and {asked} both write {name}; name another file for one of them")
        earlier.append((asked, path))


def _named(source: str) -> Path:
    path = Path(source).expanduser()
    image, at, _ = source.rpartition("@")
    return Path(image).expanduser() if at and image and not os.path.lexists(path) else path


def _is_special(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return not stat.S_ISREG(path.stat().st_mode)
    return False


def _is_same(one: Path, other: Path) -> bool:
    with suppress(OSError, ValueError):
        if os.path.samefile(one, other):
            return True
    # One that is not there yet is known by its name.
    return os.path.realpath(one) == os.path.realpath(other)


def _unblocked(special: Path) -> BinaryIO:
    """Open a pipe or a device to write to it; a pipe that nobody reads is an error, and nothing to wait for."""
    descriptor = os.open(special, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "wb")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, so that it is whole or as it was; a pipe or a device is written to."""
    with written_whole(path) as file:
        file.write(data)


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Have a file written beside its place and renamed when the block ends, so that it is whole or as it was.

    A pipe or a device is written to.  A link stays one, and a file that is replaced keeps its permissions.  What cannot
    be written, a full disk or a pipe that nobody reads, raises `Unavailable`.
    """
    target = path.resolve()
    beside = target.parent / f".{target.name}.{os.urandom(16).hex()}"
    try:
        if target.exists() and not target.is_file():
            with _unblocked(target) as file:
                yield file
            return
        with beside.open("xb") as file:
            yield file
        if target.exists():
            beside.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(beside, target)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise Unavailable(f"{path}: nobody reads this pipe; start its reader first") from None
        raise Unavailable(f"{path}: {error.strerror or error}; name a file that can be written") from None
    finally:
        with suppress(OSError):
            beside.unlink()
