"""OSv on AArch64: one address space at EL1, for the application too."""

from __future__ import annotations

from typing import Final

from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.systems.system import System


class Osv(System):
    """OSv on AArch64."""

    title = "OSv"
    # OSv, arch/aarch64/arch-mmu.hh.
    dirty = DirtyConvention.BIT55

    def flag_habit(self, of_kernel: bool) -> str:
        return "" if of_kernel else "OSv of before 2023 has none"


OSV: Final = Osv()
