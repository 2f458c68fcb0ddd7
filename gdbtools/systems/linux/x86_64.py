"""Where Linux on x86-64 keeps the two roots of a process under page-table isolation.

They are a pair of pages, the full root in the lower and the process's in the upper: bit 12 of cr3 chooses, and bit 11,
where there are process-context identifiers.  Source: Linux, `arch/x86/mm/pti.c`, `arch/x86/entry/calling.h`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gdbtools.arch.isolation import Switch
from gdbtools.arch.model import ReadRegister, Regime
from gdbtools.arch.x86_64.registers.control import CR4
from gdbtools.systems.system import System

_UPPER_PAGE: Final = 1 << 12
_USERS_IDENTIFIER: Final = 1 << 11


class X86Linux(System):
    """Linux on x86-64."""

    title = "Linux"

    def full_roots(self, register: ReadRegister, reduced: Regime, name: str | None) -> Sequence[Switch]:  # noqa: ARG002
        cr3 = register("cr3")
        if not cr3 & _UPPER_PAGE:
            return ()
        identified = _USERS_IDENTIFIER if CR4(register("cr4")).PCIDE else 0
        said = "Linux keeps the full root in the page below, which cr3 leads to without its bit 12"
        return (Switch({"cr3": cr3 & ~(_UPPER_PAGE | identified)}, {}, said),)


LINUX: Final = X86Linux()
