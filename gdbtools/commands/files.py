"""Writing a file of the user's: whole, or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from gdbtools.errors import Unavailable


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place and rename it, so that it is whole or as it was; a pipe or a device is written to.

    A link stays one, and a file that is replaced keeps its permissions.
    """
    target = path.resolve()
    beside = target.parent / f".{target.name}.{uuid4().hex}"
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        beside.write_bytes(data)
        if target.exists():
            beside.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(beside, target)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror or error}; name a file that can be written") from None
    finally:
        with suppress(OSError):
            beside.unlink()
