"""What the manuals say: pure functions and data, no I/O.  The architectures are listed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.arch import aarch64
from gdbtools.arch.architecture import Architecture

ARCHITECTURES: Final[Mapping[str, Architecture]] = {each.name: each for each in (aarch64.ARCHITECTURE,)}
