"""Pointer masking: how many upper bits of an address are no part of it, by whose access it is.

Source: The RISC-V Privileged Architecture, "Pointer Masking Extensions" (Ssnpm, Smnpm, Smmpm), and the PMM fields of
menvcfg, senvcfg, henvcfg and mseccfg.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.arch.model import AccessKind, Privilege, ReadRegister, optional
from gdbtools.arch.riscv.privilege_modes import VS, VU, M, S, U
from gdbtools.arch.riscv.registers.catalog import WIDE
from gdbtools.arch.riscv.registers.configuration import MSECCFG, PMLEN

HOLDERS: Final[Mapping[Privilege, str]] = {U: "senvcfg", VU: "senvcfg", S: "menvcfg", VS: "henvcfg", M: "mseccfg"}
"""Whose PMM masks the pointers of a mode: a register of the next higher one."""


def pmlen(register: ReadRegister, bits: int, mode: Privilege) -> int:
    """Return how many upper bits are left out of the addresses of a mode's loads and stores; a reserved value is 0.

    Where XLEN is 32 there is no such thing.
    """
    if bits != WIDE:
        return 0
    return PMLEN.get(MSECCFG.PMM.of(optional(register, HOLDERS[mode]) or 0), 0)


def is_masked(kind: AccessKind) -> bool:
    """Return whether an access is one whose address is masked: fetches are not, nor is HLVX."""
    return kind not in (AccessKind.EXECUTE, AccessKind.READ_EXECUTABLE)


def masked(address: int, pmlen: int, virtual: bool) -> int:
    """Return an address with its upper bits left out: as the highest that is left if it is virtual, else as 0."""
    if not pmlen:
        return address
    kept = 64 - pmlen
    low = address & (1 << kept) - 1
    negative = virtual and low >> kept - 1
    return low | ((1 << 64) - (1 << kept) if negative else 0)
