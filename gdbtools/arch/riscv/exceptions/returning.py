"""How to return from a trap without an instruction: what SRET and MRET would set.

Source: The RISC-V Privileged Architecture, "Trap-Return Instructions", "Privilege and Global Interrupt-Enable Stack in
mstatus register", "Trap Return" of the H extension.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.model import ReadRegister, optional
from gdbtools.arch.riscv.exceptions.levels import target
from gdbtools.arch.riscv.privilege_modes import M, S
from gdbtools.arch.riscv.registers.catalog import WIDE
from gdbtools.arch.riscv.registers.status import HSTATUS64, MSTATUS32, MSTATUS64, SSTATUS32, SSTATUS64
from gdbtools.arch.riscv.translation.controls import upper_status
from gdbtools.errors import Refused

_MACHINE: Final = 3


def way_back(register: ReadRegister, bits: int, through: VA | None) -> Mapping[str, int] | None:
    """Return the registers that have the hart return, None where only an instruction can: V has none to be set by."""
    if through is not None:
        return {"pc": through}
    level = target(register)
    if level == M:
        return _from_machine(register, bits)
    return _from_supervisor(register, bits) if level == S else None


def _from_supervisor(register: ReadRegister, bits: int) -> Mapping[str, int] | None:
    """SRET: the mode from SPP, SIE from SPIE, and these two as after reset."""
    hstatus = HSTATUS64(optional(register, "hstatus") or 0)
    status = (SSTATUS64 if bits == WIDE else SSTATUS32)(register("sstatus"))
    if hstatus.SPV or status.SPELP:
        return None
    after = status.with_(SIE=status.SPIE, SPIE=1, SPP=0, SDT=0)
    return {"sstatus": int(after), "priv": status.SPP, "pc": register("sepc")}


def _from_machine(register: ReadRegister, bits: int) -> Mapping[str, int] | None:
    """MRET: the mode from MPP, MIE from MPIE; what is less than M-mode leaves MPRV behind."""
    upper = upper_status(register, bits)
    if upper.MPV or upper.MPELP:
        # What is borrowed where registers do not do is an SRET, which leads elsewhere from here.
        raise Refused("M-mode returns to a guest, or to a landing pad, by an MRET alone; return by hand")
    status = (MSTATUS64 if bits == WIDE else MSTATUS32)(register("mstatus"))
    after = status.with_(MIE=status.MPIE, MPIE=1, MPP=0)
    if status.MPP != _MACHINE:
        after = after.with_(MPRV=0)
    return {"mstatus": int(after), "priv": status.MPP, "pc": register("mepc")}
