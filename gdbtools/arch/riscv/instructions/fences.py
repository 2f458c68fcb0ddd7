"""Fences of translation: which instruction is one, and what its two registers name.

Source: The RISC-V Privileged Architecture, "Supervisor Memory-Management Fence Instruction", "Hypervisor
Memory-Management Fence Instructions", Svinval for the invalidation in two steps.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gdbtools.arch.riscv import X
from gdbtools.arch.riscv.instructions.memory import SYSTEM, Wide
from gdbtools.bits import Field


class FenceOf(enum.Enum):
    """Whose translations an instruction is about."""

    OWN = enum.auto()
    """Those of the satp in force: VS-mode's, where V is 1."""
    GUEST = enum.auto()
    """The VS-stage's of the current VMID."""
    GUEST_STAGE = enum.auto()
    """The G-stage's."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A fence and invalidation, or with `alone` an invalidation that two further fences have to be around."""

    name: str
    of: FenceOf
    alone: bool = False


FENCES: Final[Mapping[int, Fence]] = {
    0b0001001: Fence("sfence.vma", FenceOf.OWN),
    0b0001011: Fence("sinval.vma", FenceOf.OWN, True),
    0b0010001: Fence("hfence.vvma", FenceOf.GUEST),
    0b0010011: Fence("hinval.vvma", FenceOf.GUEST, True),
    0b0110001: Fence("hfence.gvma", FenceOf.GUEST_STAGE),
    0b0110011: Fence("hinval.gvma", FenceOf.GUEST_STAGE, True),
}
"""By funct7."""
GUEST_ADDRESS_SHIFT: Final = 2
"""By how much the guest physical address of a fence of the G-stage is shifted right in its operand."""
BEFORE, AFTER = 0x1800_0073, 0x1810_0073
"""sfence.w.inval and sfence.inval.ir: what orders the invalidations between them."""


def fence(word: int) -> Fence | None:
    """Return the fence that an instruction is, None for another."""
    wide = Wide(word & 0xFFFF_FFFF)
    if wide.low != 0b11 or wide.opcode != SYSTEM or wide.funct3 or wide.rd:
        return None
    return FENCES.get(wide.funct7)


def fence_text(found: Fence, word: int) -> str:
    """Return a fence as an assembler has it."""
    wide = Wide(word)
    return f"{found.name} {X[wide.rs1]}, {X[wide.rs2]}"


_SRET, _WFI = 0x1020_0073, 0x1050_0073
_CSR: Final = Field((31, 20), doc="which register")
_SATP: Final = 0x180


def controlled_by(word: int) -> str:
    """Return the control that may make an instruction trap: `TVM`, `TSR` or `TW`, empty for none of them."""
    wide = Wide(word & 0xFFFF_FFFF)
    found = fence(word)
    if wide == _SRET:
        return "TSR"
    if wide == _WFI:
        return "TW"
    on_root = wide.opcode == SYSTEM and bool(wide.funct3) and wide.funct3 != 0b100 and _CSR.of(wide) == _SATP
    return "TVM" if on_root or (found is not None and found.of is FenceOf.OWN) else ""
