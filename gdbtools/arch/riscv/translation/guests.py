"""A guest of the H extension as a hart's registers describe it: hgatp, and whether V is 1.

Source: The RISC-V Privileged Architecture, "Hypervisor Guest Address Translation and Protection (hgatp) Register".
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from gdbtools.arch.guests import GuestRegisters, LoadedGuest
from gdbtools.arch.model import ReadRegister
from gdbtools.arch.riscv.privilege_modes import VS, VU
from gdbtools.arch.riscv.translation import regimes
from gdbtools.errors import Unavailable

_SUPERVISOR = 1
"""The nominal mode of a guest's kernel."""


class HartGuests(GuestRegisters):
    """Guests of HS-mode, where MXLEN is `bits`: the G-stage.  No instruction of theirs cleans caches by no address."""

    identifier = "VMID"

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def stage(self, register: ReadRegister) -> str:  # noqa: ARG002
        return regimes.GUEST_STAGE

    def loaded(self, register: ReadRegister) -> LoadedGuest | None:
        """Return the guest of hgatp, which a hart in HS-mode has left there from the last one that it loaded."""
        regime = regimes.guest_stage(register, self.bits)
        if regime is None:
            return None
        runs: bool | None = None
        caveat = "the hart is not in a guest's mode: hgatp is that of the last guest that was loaded"
        try:
            runs = regimes.privilege(register) in (VS, VU)
        except Unavailable as unknown:
            caveat = f"whether it runs is not known: {unknown}"
        return LoadedGuest(regime, regime.hgatp.VMID, runs, "" if runs else caveat)

    def entered(self, register: ReadRegister) -> Mapping[str, int]:
        """Return the mode of the guest's kernel: vsatp is what was loaded with hgatp."""
        with suppress(Unavailable):
            if regimes.privilege(register) in (VS, VU):
                return {}
        return {"priv": _SUPERVISOR, "virt": 1}

    def alone(self, register: ReadRegister) -> Mapping[str, int]:
        return {"priv": _SUPERVISOR, "virt": 0, "satp": register("vsatp"), "hgatp": 0}
