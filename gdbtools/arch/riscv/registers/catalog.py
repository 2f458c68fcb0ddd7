"""Every register that is decoded, by XLEN, and the reading of those that may be absent or come in two halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.arch.model import Brief, ReadRegister, optional
from gdbtools.arch.riscv.registers import configuration, protection, status, translation, traps
from gdbtools.bits import Word

WIDE: Final = 64

_OF_64: Final[Mapping[str, type[Word]]] = {
    "satp": translation.SATP64,
    "mstatus": status.MSTATUS64,
    "sstatus": status.SSTATUS64,
    "menvcfg": configuration.MENVCFG,
    "senvcfg": configuration.SENVCFG64,
    "vsatp": translation.SATP64,
    "hgatp": translation.HGATP64,
    "vsstatus": status.SSTATUS64,
    "hstatus": status.HSTATUS64,
    "henvcfg": configuration.HENVCFG,
    "mseccfg": configuration.MSECCFG,
}
_OF_32: Final[Mapping[str, type[Word]]] = {
    "satp": translation.SATP32,
    "mstatus": status.MSTATUS32,
    "mstatush": status.MSTATUSH,
    "sstatus": status.SSTATUS32,
    "menvcfg": configuration.ENVCFG32,
    "menvcfgh": configuration.ENVCFGH,
    "senvcfg": configuration.SENVCFG32,
    "vsatp": translation.SATP32,
    "hgatp": translation.HGATP32,
    "vsstatus": status.SSTATUS32,
    "hstatus": status.HSTATUS32,
    "henvcfg": configuration.ENVCFG32,
    "henvcfgh": configuration.ENVCFGH,
    "mseccfg": configuration.MSECCFG32,
    "mseccfgh": configuration.MSECCFGH,
}
_MODES_OF_64: Final[Mapping[str, type[Word]]] = {"priv": status.PRIV, "virt": status.VIRT}
_MODES_OF_32: Final[Mapping[str, type[Word]]] = {"priv": status.PRIV32, "virt": status.VIRT32}
BRIEF: Final[Mapping[str, Brief]] = {
    "priv": Brief(("prv",)),
    "virt": Brief(("v",)),
    "satp": Brief(("MODE", "PPN"), ("ASID",)),
    "vsatp": Brief(("MODE", "PPN"), ("ASID",)),
    "hgatp": Brief(("MODE", "PPN"), ("VMID",)),
    "mstatus": Brief(("MPP", "SUM", "MXR"), ("MPRV", "MPV", "SBE")),
    "sstatus": Brief(("SPP", "SUM", "MXR")),
    "vsstatus": Brief(("SPP", "SUM", "MXR")),
    "hstatus": Brief(("SPV",), ("SPVP", "GVA", "HU", "VSBE")),
    "menvcfg": Brief((), ("PBMTE", "ADUE", "SSE", "PMM")),
    "henvcfg": Brief((), ("PBMTE", "ADUE", "SSE", "PMM")),
    "senvcfg": Brief((), ("SSE", "PMM")),
    "mseccfg": Brief((), ("MML", "MMWP", "PMM")),
    "scause": Brief(("Interrupt", "Code")),
    "vscause": Brief(("Interrupt", "Code")),
    "mcause": Brief(("Interrupt", "Code")),
    "stvec": Brief(("BASE", "MODE")),
}
"""What says most of a register, by its name."""
_IN_FORCE: Final = ("scause", "stval", "sepc", "stvec")


def declared(bits: int) -> Mapping[str, type[Word]]:
    """Return every register that is decoded where XLEN is `bits`, those of translation first."""
    own = {**_MODES_OF_64, **_OF_64} if bits == WIDE else {**_MODES_OF_32, **_OF_32}
    return {**own, **traps.declared(bits), **protection.declared(bits)}


def principal(bits: int) -> tuple[str, ...]:
    """Return the registers of translation and of faults, in order."""
    return (*_MODES_OF_64, *(_OF_64 if bits == WIDE else _OF_32), *traps.declared(bits), *protection.declared(bits))


def in_force(name: str) -> tuple[str, ...]:
    """Return the registers that translate in a regime, and those of its last exception."""
    own = ("vsatp", "hgatp", "vsstatus", "hstatus", "henvcfg") if name in ("vs", "g") else ("satp",)
    causes = ("mcause", "mtval", "mepc", "mtvec") if name == "m" else _IN_FORCE
    return (*_MODES_OF_64, *own, "mstatus", "sstatus", "menvcfg", "senvcfg", *causes)


def whole(register: ReadRegister, name: str, bits: int) -> int | None:
    """Return a register of 64 bits, of its two halves where XLEN is 32; None where any of it is lacking."""
    low = optional(register, name)
    if bits == WIDE or low is None:
        return low
    high = optional(register, f"{name}h")
    return None if high is None else high << 32 | low
