"""Privilege modes, as the levels of privilege that they are; V, the virtualization mode, makes five of three.

Source: The RISC-V Privileged Architecture, "Privilege Levels", and of the H extension "Privilege Modes".
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.model import Privilege


def _mode(rank: int, name: str, is_user: bool = False) -> Privilege:
    return Privilege(rank, name, {"privilege": name.lower()}, is_user)


U: Final = _mode(0, "U")
VU: Final = _mode(1, "VU", is_user=True)
VS: Final = _mode(2, "VS")
S: Final = _mode(3, "S")
"""With the H extension, HS."""
M: Final = _mode(4, "M")
MODES: Final = (U, VU, VS, S, M)

NOMINAL: Final = {0: U, 1: S, 3: M}
"""By `priv`, and as xPP has them, while V is 0."""
VIRTUAL: Final = {0: VU, 1: VS}
"""The same while V is 1."""


def mode(nominal: int, virtual: bool) -> Privilege:
    """Return a privilege mode; one that there is none of, 2, is taken for M, which nothing translates for."""
    return VIRTUAL.get(nominal, M) if virtual else NOMINAL.get(nominal, M)
