"""The folders in memory that `gdbtools run` keeps a guest's RAM in, and those that a killed one has left there.

In each is a file that its owner holds locked, and the QEMU that it started.  The kernel lets go of the lock with the
last of them, however they ended: a folder whose lock can be had is nobody's any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
PREFIX, OWNER = "gdbtools-", "owner"


def made_folder(memory: Path = SHARED_MEMORY) -> tuple[Path, int, int]:
    """Make a folder for sockets and RAM, in memory where that can be.

    Returns it, how many bytes of RAM fit in it, and the descriptor of its lock, for who is to hold it too.
    """
    if not os.access(memory, os.W_OK):
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        return folder, 0, _locked(folder)
    sweep(memory)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=memory))
    return folder, shutil.disk_usage(memory).free, _locked(folder)


def sweep(memory: Path) -> None:
    """Remove the folders that are this user's, were made here, and that nobody holds."""
    for folder in memory.glob(f"{PREFIX}*"):
        # Another sweep may be as far; and what is not as it was made is left alone.
        with suppress(OSError):
            if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
                continue
            lock = os.open(folder / OWNER, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _locked(folder: Path) -> int:
    """Lock a folder for as long as this process lives: the file has its name only once it is locked."""
    made = folder / f"{OWNER}.new"
    lock = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    made.rename(folder / OWNER)
    return lock
