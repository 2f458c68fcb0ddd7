"""Where the files are that belong to gdbtools and are not Python modules of it: scripts for GDB, guests, captures."""

from __future__ import annotations

from pathlib import Path

from gdbtools.errors import Unavailable

_PACKAGE = Path(__file__).resolve().parent


def place(name: str) -> Path:
    """Return the path of `gdbinit.d/...` or `fixtures/...`: a checkout's, beside the package, or a wheel's, inside it.

    Raises `Unavailable` where the installation lacks it.
    """
    for root in (_PACKAGE.parent, _PACKAGE):
        # Another project may keep a folder of that name beside an installed package.
        if (root / name).exists() and (root is _PACKAGE or (root / "gdbinit.d" / "gdbtools.py").exists()):
            return root / name
    raise Unavailable(f"{name} is not installed with the package; install gdbtools again")


def gdbinit() -> Path:
    """Return the file to source inside GDB; raises `Unavailable` where the installation lacks it."""
    return place("gdbinit.d/gdbtools.py")
