"""What a hypervisor's registers have to do with a regime: HCR_EL2, HCRX_EL2, and what of them is refused."""

from __future__ import annotations

from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, HCRX_EL2
from gdbtools.arch.aarch64.translation.controls import EL10, Controls
from gdbtools.arch.aarch64.translation.security import scr_el3
from gdbtools.arch.model import ReadRegister, optional

REFUSED = (
    ("D128", "128-bit descriptors are"),
    ("AIE", "extended memory attribute indexing is"),
)
"""What gives a whole descriptor another meaning, and is not decoded."""


def hcr_of(register: ReadRegister) -> HCR_EL2:
    """HCR_EL2; a CPU without EL2 behaves as if it were 0."""
    return HCR_EL2(optional(register, "HCR_EL2") or 0)


def hcrx_of(register: ReadRegister) -> HCRX_EL2 | None:
    """HCRX_EL2, which is as 0 while SCR_EL3.HXEn withholds it; None where nobody knows."""
    value, scr = optional(register, "HCRX_EL2"), scr_el3(register)
    return None if value is None else HCRX_EL2(0 if scr is not None and not scr.HXEn else value)


def is_nested(controls: Controls, hcr: HCR_EL2) -> bool:
    """Return whether EL1 runs a guest hypervisor: HCR_EL2.{NV, NV1}."""
    return controls is EL10 and bool(hcr.NV and hcr.NV1)
