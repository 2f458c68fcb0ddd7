"""Which registers have a trap, by the mode that takes it, and which mode that is.

Source: The RISC-V Privileged Architecture, "Machine Trap Delegation (medeleg and mideleg) Registers", "Hypervisor Trap
Delegation (hedeleg and hideleg) Registers", "Trap Entry".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gdbtools.arch.model import Privilege, ReadRegister, RecordNames, optional
from gdbtools.arch.riscv.privilege_modes import VS, VU, M, S
from gdbtools.arch.riscv.registers.traps import EXCEPTIONS
from gdbtools.arch.riscv.translation import regimes
from gdbtools.bits import Field, FieldValue

GUEST_ADDRESS: Final = "the guest physical address, shifted right by 2, or 0"


@dataclass(frozen=True, slots=True)
class TrapRegisters:
    """The registers of the traps that a mode takes; empty where it has none of that purpose."""

    cause: str
    value: str
    pc: str
    status: str
    vector: str
    guest_address: str = ""
    instruction: str = ""

    @property
    def names(self) -> RecordNames:
        return RecordNames(self.cause, self.value, self.pc, self.status, self.guest_address, GUEST_ADDRESS)


OF_MODE: Final[Mapping[Privilege, TrapRegisters]] = {
    S: TrapRegisters("scause", "stval", "sepc", "sstatus", "stvec", "htval", "htinst"),
    VS: TrapRegisters("vscause", "vstval", "vsepc", "vsstatus", "vstvec"),
    M: TrapRegisters("mcause", "mtval", "mepc", "mstatus", "mtvec", "mtval2", "mtinst"),
}
ANY: Final = RecordNames("xcause", "xtval", "xepc", "xstatus", "htval", GUEST_ADDRESS)
"""What the registers are called where no mode is meant."""


def target(register: ReadRegister) -> Privilege:
    """Return the mode whose trap registers are the hart's own: U takes no traps, so S's, and VU none, so VS's.

    A source that does not say where the hart is has the registers of the one trap that somebody wrote down.
    """
    if optional(register, "priv") is None:
        written = [mode for mode, each in OF_MODE.items() if optional(register, each.cause) is not None]
        return written[0] if written else S
    mode = regimes.privilege(register)
    return M if mode == M else VS if mode in (VS, VU) else S


def delegation(
    register: ReadRegister, code: int, origin: Privilege
) -> tuple[Privilege, tuple[tuple[str, FieldValue], ...]]:
    """Return who takes an exception of that code from a mode, and the bits that say so: (register, field).

    Where the registers are not there it is M-mode, as after reset: then no bit says so.
    """
    taker, said, field = M, list[tuple[str, FieldValue]](), delegation_field(code)
    for name, below, is_asked in (("medeleg", S, origin != M), ("hedeleg", VS, origin in (VS, VU))):
        value = optional(register, name)
        if not is_asked or value is None or field is None:
            break
        said.append((name, FieldValue(field, field.of(value))))
        if not field.of(value):
            break
        taker = below
    return taker, tuple(said)


def delegation_field(code: int) -> Field | None:
    """Return the bit of medeleg and hedeleg that is about an exception; None for a code without a name."""
    return Field(code, doc=EXCEPTIONS[code], name=f"E{code}") if code in EXCEPTIONS else None
