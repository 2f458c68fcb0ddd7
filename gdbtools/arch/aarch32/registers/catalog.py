"""Every register that is decoded, by its name; some are laid out by what TTBCR.EAE says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.arch.aarch32.registers import hypervisor, processor_state, translation
from gdbtools.arch.aarch32.syndrome import fault_status
from gdbtools.arch.model import Brief, ReadRegister, optional
from gdbtools.bits import Word

_SHORT: Final[Mapping[str, type[Word]]] = {
    "TTBCR": translation.TTBCR,
    "TTBR0": translation.TTBR_SHORT,
    "TTBR1": translation.TTBR_SHORT,
    "MAIR0": translation.PRRR,
    "MAIR1": translation.NMRR,
    "CONTEXTIDR": translation.CONTEXTIDR_SHORT,
}
_LONG: Final[Mapping[str, type[Word]]] = {
    "TTBCR": translation.TTBCR_LONG,
    "TTBR0": translation.TTBR_LONG,
    "TTBR1": translation.TTBR_LONG,
    "MAIR0": translation.MAIR0,
    "MAIR1": translation.MAIR1,
    "CONTEXTIDR": translation.CONTEXTIDR_LONG,
}
DECLARED: Final[Mapping[str, type[Word]]] = {
    "cpsr": processor_state.CPSR,
    "SCTLR": translation.SCTLR32,
    **_LONG,
    "DACR": translation.DACR,
    "DFSR": fault_status.DFSR,
    "DFAR": processor_state.DFAR,
    "IFSR": fault_status.IFSR,
    "IFAR": processor_state.IFAR,
    "VBAR": processor_state.VBAR32,
    "HSCTLR": hypervisor.HSCTLR,
    "HTCR": hypervisor.HTCR,
    "HTTBR": hypervisor.HTTBR,
    "HMAIR0": translation.MAIR0,
    "HMAIR1": translation.MAIR1,
    "HSR": hypervisor.HSR,
    "HVBAR": processor_state.VBAR32,
    "HDFAR": processor_state.DFAR,
    "HIFAR": processor_state.IFAR,
    "HPFAR": hypervisor.HPFAR,
    "HCR": hypervisor.HCR,
    "VTCR": hypervisor.VTCR,
    "VTTBR": hypervisor.VTTBR32,
    "SCR": processor_state.SCR,
    "ID_MMFR0": translation.ID_MMFR0,
}
ALIASES: Final[Mapping[str, str]] = {"prrr": "MAIR0", "nmrr": "MAIR1"}
"""What the manual calls them while TTBCR.EAE is 0: the same registers."""
CONSTANT: Final = "ID_MMFR0"
BRIEF: Final[Mapping[str, Brief]] = {
    "cpsr": Brief(("M", "T"), ("PAN", "E")),
    "SCTLR": Brief(("M", "TRE", "AFE"), ("EE", "WXN", "UWXN", "V")),
    "TTBCR": Brief(("EAE",), ("N", "PD0", "PD1", "T0SZ", "T1SZ", "EPD0", "EPD1")),
    "TTBR0": Brief(("BADDR",), ("ASID",)),
    "TTBR1": Brief(("BADDR",), ("ASID",)),
    "DFSR": Brief(("FS", "WnR"), ("Domain", "LPAE")),
    "IFSR": Brief(("FS",), ("LPAE",)),
    "VBAR": Brief(("VBA",)),
    "HSCTLR": Brief(("M",), ("EE", "WXN")),
    "HTCR": Brief(("T0SZ",)),
    "HTTBR": Brief(("BADDR",)),
    "HVBAR": Brief(("VBA",)),
    "HSR": Brief(("EC",)),
    "HPFAR": Brief(("FIPA",)),
    "HCR": Brief((), ("VM", "TSW", "TVM", "TGE", "DC")),
    "VTCR": Brief(("T0SZ", "SL0")),
    "VTTBR": Brief(("BADDR",)),
    "SCR": Brief(("NS",)),
}
"""What says most of a register, by its name."""
HYP: Final = (
    "HSCTLR",
    "HTCR",
    "HTTBR",
    "HMAIR0",
    "HMAIR1",
    "HVBAR",
    "HSR",
    "HDFAR",
    "HIFAR",
    "HPFAR",
    "HCR",
    "VTCR",
    "VTTBR",
)
"""Which registers are those of Hyp mode, and of what it makes of PL1."""
IN_FORCE: Final = tuple(name for name in DECLARED if name not in (*HYP, "SCR", CONSTANT))


def layout(name: str, register: ReadRegister) -> type[Word]:
    """Return how a declared register is laid out here."""
    control = translation.TTBCR(optional(register, "TTBCR") or 0)
    if name in _SHORT:
        return (_LONG if control.EAE else _SHORT)[name]
    if name in fault_status.FORMS:
        return fault_status.form(name, register(name))
    return DECLARED[name]


def depends(name: str) -> bool:
    """Return whether TTBCR.EAE decides how a register is laid out."""
    return name in _SHORT and name != "TTBCR"
