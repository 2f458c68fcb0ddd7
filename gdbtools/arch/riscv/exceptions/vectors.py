"""Where traps are taken: xtvec, direct and vectored.

In vectored mode it is interrupts that have entries of their own, at four bytes times their number; exceptions come to
the base in either mode.

Source: The RISC-V Privileged Architecture, "Supervisor Trap Vector Base Address (stvec) Register".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.model import ExceptionRecord, Privilege, ReadRegister, VectorEntry, optional
from gdbtools.arch.riscv.exceptions.levels import OF_MODE, delegation, target
from gdbtools.arch.riscv.privilege_modes import VS, VU, M, S, U
from gdbtools.arch.riscv.registers.status import MSTATUS64
from gdbtools.arch.riscv.syndrome import INTERRUPTS, code_of, interrupt_name
from gdbtools.arch.riscv.translation import regimes
from gdbtools.bits import Field

DIRECT, VECTORED = 0, 1
ENTRY_BYTES: Final = 4
VECTORS_BYTES: Final = ENTRY_BYTES * (max(INTERRUPTS) + 1)
_EXCEPTIONS: Final = ", exceptions"
_MODE: Final = Field((1, 0))
_PAGE_FAULTS: Final = (12, 13, 15)
_GUEST_PAGE_FAULTS: Final = (20, 21, 23)


def base(register: ReadRegister, level: Privilege) -> VA:
    """Return where the exceptions that a mode takes come in."""
    value = register(OF_MODE[level].vector)
    return VA(value - _MODE.of(value))


def takers(register: ReadRegister, regime: str) -> list[Privilege]:
    """Return the modes that take the page faults of a regime, cause by cause as they are delegated."""
    origin = {regimes.MACHINE: M, regimes.SUPERVISOR: U}.get(regime, VU)
    codes = _GUEST_PAGE_FAULTS if regime == regimes.GUEST_STAGE else _PAGE_FAULTS
    if optional(register, "medeleg") is None:
        return [{regimes.MACHINE: M, regimes.GUEST: VS}.get(regime, S)]
    return sorted({delegation(register, code, origin)[0] for code in codes})


def takers_of_guest_page_faults(register: ReadRegister) -> list[Privilege]:
    """Return the modes that take them where it was no guest that made the access, but HLV or HSV of a hypervisor's."""
    if optional(register, "medeleg") is None:
        return [S]
    return sorted({delegation(register, code, S)[0] for code in _GUEST_PAGE_FAULTS})


def vectors(register: ReadRegister, regime: str | None = None) -> Mapping[VA, str]:
    """Return where exceptions come in: those that the hart's mode takes, or those of a regime's page faults."""
    levels = [target(register)] if regime is None else takers(register, regime)
    return {base(register, level): _exceptions(register, level) for level in levels}


def _exceptions(register: ReadRegister, level: Privilege) -> str:
    """Return the name of the entry of exceptions: where a mode's vectors are direct, interrupts come there too."""
    name = OF_MODE[level].vector
    return f"{name}{_EXCEPTIONS}" if _MODE.of(register(name)) == VECTORED else name


def vector_base(register: ReadRegister, regime: str | None = None) -> str:
    """Return the register that says where these vectors are."""
    return OF_MODE[target(register) if regime is None else takers(register, regime)[0]].vector


def vector_entry(register: ReadRegister, pc: int) -> VectorEntry | None:
    """Return the entry that is at `pc`: xtvec's base or, where it is vectored, an interrupt's own.

    An interrupt has a cause as an exception has, so that none of them leaves an older one's.
    """
    level = target(register)
    name = OF_MODE[level].vector
    offset = pc - base(register, level)
    if not offset:
        return VectorEntry(_exceptions(register, level))
    vectored = _MODE.of(register(name)) == VECTORED
    if vectored and 0 < offset < VECTORS_BYTES and not offset % ENTRY_BYTES:
        number = offset // ENTRY_BYTES
        return VectorEntry(f"{name}, {interrupt_name(number)}")
    return None


def against_entry(exception: ExceptionRecord, entry: VectorEntry) -> str:
    """Return why a trap cannot have been taken at an entry; empty where nothing speaks against it."""
    names, status = exception.names, exception.state
    if status is not None:
        enabled = MSTATUS64.MIE if exception.target == M else MSTATUS64.SIE
        if enabled.of(status):
            return f"pc is at the vector entry {entry.name}, and {names.state}.{enabled.name} is 1: a trap clears it"
    own, interrupt = OF_MODE[exception.target].vector, code_of(exception.syndrome) is None
    if entry.name == own or (entry.name == f"{own}{_EXCEPTIONS}" and not interrupt):
        return ""
    if interrupt and entry.name == f"{own}, {exception.syndrome.name}":
        return ""
    return f"pc is at the vector entry {entry.name}, and {names.syndrome} says {exception.syndrome.name}"


def is_of(exception: ExceptionRecord, regime: str) -> bool:
    """Return whether an exception is a fault of a regime: the G-stage's by the stage, of others by who asked."""
    fault = exception.syndrome.fault
    if fault is None:
        return False
    return fault.stage == 2 if regime == regimes.GUEST_STAGE else fault.stage == 1 and exception.regime == regime
