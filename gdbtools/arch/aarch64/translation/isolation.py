"""Two roots for one process: TTBR1 of a trampoline, and the full one that its vectors change to.

Source: DDI 0487, "Exception vectors", "TTBR1_EL1"; what an operating system does with them is in its code, which
`entry_code` follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch64.exceptions import entry_code
from gdbtools.arch.aarch64.exceptions.record import FROM_LOWER, vectors_at
from gdbtools.arch.aarch64.registers.processor_state import VBAR
from gdbtools.arch.aarch64.registers.translation import TTBR
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.capabilities import PageTableIsolation
from gdbtools.arch.isolation import Load, Switch, View
from gdbtools.arch.model import ReadRegister, Regime, optional
from gdbtools.errors import GdbtoolsError

_LEVELS: Final[Mapping[str, int]] = {"el1": 1, "el2-vhe": 2}
"""The regimes that have an upper range and a user, and who takes the user's exceptions."""

_VECTORS_BYTES: Final = VBAR.VBA.scale


def _level(register: ReadRegister, name: str | None) -> int | None:
    return _LEVELS.get(name or regimes.current(register))


def ttbr1_name(register: ReadRegister, name: str | None) -> str:
    """Return what the root of the upper range is called."""
    return f"TTBR1_EL{_level(register, name) or 1}"


def upper_range(register: ReadRegister, name: str | None) -> Regime | None:
    """Return the upper range, if the vectors lie in it."""
    el = _level(register, name)
    vbar = None if el is None else optional(register, f"VBAR_EL{el}")
    if not vbar or not vbar & regimes.BIT_55:
        return None
    found = regimes.regime_for(register, VA(vbar), name)
    return found if found.levels and found.admit(VA(vbar)) is None else None


def switch(register: ReadRegister, view: View, name: str | None) -> Switch | None:
    """Return where the entry for a user's synchronous exceptions moves TTBR1, and then VBAR; None if it does not."""
    el, ttbr1 = _level(register, name), ttbr1_name(register, name)
    entry = VBAR(register(f"VBAR_EL{el}")).VBA + FROM_LOWER
    now = register(ttbr1)

    def code(root: int | None) -> Load:
        return view({} if root is None else {ttbr1: root})

    found = entry_code.follow(entry, now, code)
    if found.root is None or TTBR(found.root).BADDR == TTBR(now).BADDR:
        return None
    entries = {} if found.vectors is None else vectors_at(found.vectors)
    apart = TTBR(found.root).BADDR - TTBR(now).BADDR
    said = f"the code at its vector entry {entry:#x} moves {ttbr1} by {apart:+#x}, at {found.at:#x}"
    return Switch({ttbr1: found.root}, entries, said)


def ways_in(
    register: ReadRegister, reduced: Mapping[str, int], view: View, first: VA, size_bytes: int
) -> Mapping[VA, str]:
    """Return the entries for a user's exceptions in a part of a reduced space that move TTBR1 to its value now.

    A trampoline has several sets of vectors, of which each CPU takes the one that suits it.
    """
    ttbr1 = ttbr1_name(register, None)
    now = TTBR(register(ttbr1)).BADDR

    def code(root: int | None) -> Load:
        return view(reduced if root is None else {ttbr1: root})

    found: dict[VA, str] = {}
    for base in range(first & -_VECTORS_BYTES, first + size_bytes, _VECTORS_BYTES):
        try:
            root = entry_code.follow(base + FROM_LOWER, reduced[ttbr1], code).root
        except GdbtoolsError:
            continue
        if root is not None and now == TTBR(root).BADDR:
            found |= {at: entry for at, entry in vectors_at(base).items() if at >= base + FROM_LOWER}
    return found


class A64Isolation(PageTableIsolation):
    """Kernel page-table isolation by TTBR1: the upper half is reduced while a process runs."""

    def range(self, register: ReadRegister, name: str | None = None) -> Regime | None:
        return upper_range(register, name)

    def switch(self, register: ReadRegister, view: View, name: str | None = None) -> Switch | None:
        return switch(register, view, name)

    def ways_in(
        self, register: ReadRegister, reduced: Mapping[str, int], view: View, first: VA, size_bytes: int
    ) -> Mapping[VA, str]:
        return ways_in(register, reduced, view, first, size_bytes)
