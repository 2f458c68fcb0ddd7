"""What the status and configuration registers say of a stage: SUM, MXR, byte order, XLEN, A and D, memory types.

Source: The RISC-V Privileged Architecture, "Machine Status (mstatus and mstatush) Registers", "Machine Environment
Configuration (menvcfg) Register", "Hypervisor Environment Configuration Register (henvcfg)", "Hypervisor Status
(hstatus) Register".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from gdbtools.arch.model import ReadRegister, optional
from gdbtools.arch.riscv.permissions.checks import SupervisorAccess
from gdbtools.arch.riscv.registers.catalog import WIDE, whole
from gdbtools.arch.riscv.registers.configuration import HENVCFG, MENVCFG
from gdbtools.arch.riscv.registers.status import HSTATUS64, MSTATUS64, MSTATUSH

NARROW: Final = 32
_XLEN_32: Final = 1
"""UXL, SXL and VSXL of 32 bits."""
_STAND_IN: Final = MENVCFG(0).with_(PBMTE=1)
"""What stands in for menvcfg: Svade, as the manual has it without Svadu, and memory types as tables say them."""
UNKNOWN_ENVIRONMENT: Final = "menvcfg: ADUE=0 (A and D are left to software), PBMTE=1, SSE=0"
_HIDDEN_STATUS: Final = "sstatus: SUM=0, MXR=0 of the hypervisor's own, which this source lacks while V is 1"


@dataclass(frozen=True)
class StageControls:
    """What decides how a stage reads its tables; `assumed` says what stands in for registers that are not known."""

    memory_types: bool
    hardware_updates: bool
    shadow_stacks: bool
    byte_order: Literal["little", "big"]
    status: SupervisorAccess
    assumed: tuple[str, ...] = ()


def upper_status(register: ReadRegister, bits: int) -> MSTATUS64 | MSTATUSH:
    """Return the word that has what is in the upper half of mstatus."""
    if bits == WIDE:
        return MSTATUS64(optional(register, "mstatus") or 0)
    return MSTATUSH(optional(register, "mstatush") or 0)


def supervisor_xlen(register: ReadRegister, bits: int) -> int:
    """Return XLEN of S-mode."""
    upper = upper_status(register, bits)
    return NARROW if isinstance(upper, MSTATUSH) or upper.SXL == _XLEN_32 else bits


def guest_xlen(register: ReadRegister, bits: int) -> int:
    """Return XLEN of VS-mode."""
    hstatus = HSTATUS64(optional(register, "hstatus") or 0)
    return NARROW if bits == NARROW or hstatus.VSXL == _XLEN_32 else bits


def supervisor(register: ReadRegister, bits: int) -> StageControls:
    """Return what decides for the tables of satp, and of hgatp."""
    value = whole(register, "menvcfg", bits)
    word = _STAND_IN if value is None else MENVCFG(value)
    own = own_status(register)
    lacking = [] if value is not None else [UNKNOWN_ENVIRONMENT]
    lacking += [] if optional(register, own) is not None else [f"{own}: SUM=0, MXR=0"]
    lacking += [_HIDDEN_STATUS] if own == "mstatus" and _is_hidden(register) else []
    return StageControls(
        memory_types=bool(word.PBMTE),
        hardware_updates=bool(word.ADUE),
        shadow_stacks=bool(word.SSE),
        byte_order="big" if upper_status(register, bits).SBE else "little",
        status=access_of(register, False),
        assumed=tuple(lacking),
    )


def guest(register: ReadRegister, bits: int) -> StageControls:
    """Return what decides for the tables of vsatp: nothing that menvcfg does not allow, where that is known."""
    machine, value = supervisor(register, bits), whole(register, "henvcfg", bits)
    hstatus, known = HSTATUS64(optional(register, "hstatus") or 0), whole(register, "menvcfg", bits) is not None
    lacking = [] if optional(register, "vsstatus") is not None else ["vsstatus: SUM=0, MXR=0"]
    lacking += [] if value is not None else ["henvcfg: PBMTE, ADUE and SSE as in menvcfg"]
    found = replace(
        machine,
        byte_order="big" if hstatus.VSBE else "little",
        status=access_of(register, True),
        assumed=(*machine.assumed, *lacking),
    )
    if value is None:
        return found
    word = HENVCFG(value)
    return replace(
        found,
        memory_types=bool(word.PBMTE) and machine.memory_types,
        hardware_updates=bool(word.ADUE) and (machine.hardware_updates or not known),
        shadow_stacks=bool(word.SSE) and (machine.shadow_stacks or not known),
    )


def access_of(register: ReadRegister, virtual: bool) -> SupervisorAccess:
    """Return SUM and MXR of S-mode, or those of a guest: MXR of the hypervisor's own status counts there, too."""
    own = own_status(register)
    value = MSTATUS64(optional(register, own) or 0)
    if not virtual:
        return SupervisorAccess(own, MSTATUS64.SUM, bool(value.SUM), bool(value.MXR))
    guests = MSTATUS64(optional(register, "vsstatus") or 0)
    return SupervisorAccess("vsstatus", MSTATUS64.SUM, bool(guests.SUM), bool(guests.MXR or value.MXR))


def _is_hidden(register: ReadRegister) -> bool:
    """Return whether nothing of what S-mode has is shown, so that of its part of mstatus nothing is either."""
    return bool(optional(register, "virt")) and all(optional(register, name) is None for name in ("satp", "sstatus"))


def own_status(register: ReadRegister) -> str:
    """Return the register that has SUM and MXR of S-mode: sstatus is a part of mstatus."""
    return "sstatus" if optional(register, "mstatus") is None else "mstatus"
