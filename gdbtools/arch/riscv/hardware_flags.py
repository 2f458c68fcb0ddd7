"""How hardware is asked to set A and D: ADUE of menvcfg, and of henvcfg for a guest, which a stub lets be written.

Source: The RISC-V Privileged Architecture, "Machine Environment Configuration (menvcfg) Register", "Hypervisor
Environment Configuration Register (henvcfg)": its ADUE is read-only zero where menvcfg's is clear; Svadu.
"""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.arch.gadgets import Borrowable
from gdbtools.arch.hardware_flags import ControlChange, ControlChanges, HardwareFlags
from gdbtools.arch.model import ReadRegister
from gdbtools.arch.riscv.registers.catalog import WIDE, declared
from gdbtools.arch.riscv.translation import regimes


class EnvironmentFlags(HardwareFlags):
    """ADUE of harts where MXLEN is `bits`: one field for A and D, and a debugger writes it in any mode."""

    dirty_meaning = "ADUE is of both: a store sets D, and does not fault"
    refused = "has the hart no Svadu, or does its hardware set A and D whatever is asked (QEMU before 8.1)"

    def __init__(self, bits: int) -> None:
        self._suffix = "" if bits == WIDE else "h"
        self._declared = declared(bits)

    def regime(self, register: ReadRegister) -> str:
        """Return a guest's, for a hart that is in one, else that of satp, whoever runs."""
        return regimes.GUEST if regimes.current(register) == regimes.GUEST else regimes.SUPERVISOR

    def changes(self, register: ReadRegister, regime: str, on: bool, dirty: bool) -> ControlChanges:  # noqa: ARG002
        # What a hypervisor's own tables need is not taken from it with its guest's.
        names = {regimes.GUEST: ["menvcfg", "henvcfg"] if on else ["henvcfg"]}.get(regime, ["menvcfg"])
        found = []
        for name in (f"{each}{self._suffix}" for each in names):
            word = self._declared[name]
            before = word(register(name))
            after = before.with_(ADUE=int(on))
            found += [ControlChange(name, before, after)] if before != after else []
        return ControlChanges(found, "" if found else "it is so already")

    def writes(self, change: ControlChange, register: ReadRegister) -> Sequence[Sequence[Borrowable]]:  # noqa: ARG002
        return ()
