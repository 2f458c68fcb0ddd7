"""Which registers say most of a stop, and which of their fields: what fits on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from gdbtools.arch.aarch64.exceptions import record
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.model import Brief, ReadRegister, optional

_EL2: Final = 2
_ONE_RANGE: Final = ("el2", "el3")
FIELDS: Final[Mapping[str, Brief]] = {
    "cpsr": Brief(("M",), ("PAN", "UAO")),
    "SCTLR": Brief(("M", "C"), ("WXN", "EE", "EPAN")),
    "TCR": Brief(("T0SZ", "TG0", "T1SZ", "TG1", "IPS", "PS", "HA"), ("HD", "DS", "EPD0", "EPD1")),
    "TCR2": Brief((), ("PIE", "POE", "E0POE", "HAFT", "PnCH")),
    "TTBR0": Brief((), ("ASID", "CnP")),
    "TTBR1": Brief((), ("ASID", "CnP")),
    "MAIR": Brief(("Attr0",), tuple(f"Attr{index}" for index in range(1, 8))),
    "SPSR": Brief(("M",), ("PAN", "UAO")),
    "HCR": Brief(("VM", "RW", "TGE", "E2H"), ("NV", "NV1", "DC", "FWB")),
    "VTCR": Brief(("T0SZ", "SL0", "TG0", "PS"), ("HA", "HD", "DS")),
    "VTTBR": Brief(("VMID",)),
    "SCR": Brief(("NS",), ("NSE", "EEL2", "SIF")),
    "ID_AA64MMFR0": Brief(("PARange",)),
    "ID_AA64MMFR1": Brief(("HAFDBS", "PAN")),
}
"""By a register's name without its level."""


def in_force(register: ReadRegister) -> Iterator[str]:
    """Yield the names of the registers that translate now, and of the last exception's, as far as they are there."""
    name, level = regimes.current(register), record.target(register)
    yield "cpsr"
    yield from (f"{each}_EL{level}" for each in ("SCTLR", "TCR"))
    if optional(register, f"TCR2_EL{level}"):
        yield f"TCR2_EL{level}"
    bases = ("TTBR0",) if name in _ONE_RANGE else ("TTBR0", "TTBR1")
    yield from (f"{each}_EL{level}" for each in (*bases, "MAIR", "VBAR", "ESR", "FAR", "ELR", "SPSR"))
    hcr = HCR_EL2(optional(register, "HCR_EL2") or 0)
    if level == _EL2 or hcr:
        yield from ("HPFAR_EL2", "HCR_EL2") if level == _EL2 else ("HCR_EL2",)
    if hcr.VM or hcr.DC:
        yield from ("VTCR_EL2", "VTTBR_EL2")
    if optional(register, "SCR_EL3"):
        yield "SCR_EL3"
    yield from ("ID_AA64MMFR0_EL1", "ID_AA64MMFR1_EL1")
