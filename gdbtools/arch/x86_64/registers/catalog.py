"""Every register that is decoded, and the reading of those that may be absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.arch.model import Brief
from gdbtools.arch.x86_64.registers.control import CR0, CR2, CR3, CR4, EFER, EFLAGS, Selector
from gdbtools.arch.x86_64.registers.descriptor_tables import IDTR, TaskRegister
from gdbtools.arch.x86_64.registers.memory_types import PAT
from gdbtools.arch.x86_64.registers.protection_keys import ProtectionKeys
from gdbtools.arch.x86_64.registers.second_stage import (
    EPTP,
    NCR3,
    EPTCapabilities,
    SecondaryControls,
    TertiaryControls,
)
from gdbtools.arch.x86_64.syndrome.page_fault import PageFaultCode
from gdbtools.bits import Field, Word


class MAXPHYADDR(Word):
    """How many bits a physical address has: CPUID.80000008H:EAX[7:0]."""

    width = 8
    BITS = Field((7, 0), doc="bits of a physical address")


DECLARED: Final[Mapping[str, type[Word]]] = {
    "cr0": CR0,
    "cr3": CR3,
    "cr4": CR4,
    "efer": EFER,
    "cr2": CR2,
    "error_code": PageFaultCode,
    "eflags": EFLAGS,
    "cs": Selector,
    "idtr": IDTR,
    "tr": TaskRegister,
    "pkru": ProtectionKeys,
    "pkrs": ProtectionKeys,
    "pat": PAT,
    "maxphyaddr": MAXPHYADDR,
    "ncr3": NCR3,
    "hcr4": CR4,
    "hefer": EFER,
    "eptp": EPTP,
    "secondary_controls": SecondaryControls,
    "tertiary_controls": TertiaryControls,
    "ept_vpid_cap": EPTCapabilities,
}
"""Those of translation first, then those of faults, then what refines, then a hypervisor's."""
IN_FORCE: Final = ("cr0", "cr3", "cr4", "efer", "cr2", "eflags", "cs")
BRIEF: Final[Mapping[str, Brief]] = {
    "cr0": Brief(("PG", "WP"), ("CD",)),
    "cr2": Brief(("ADDRESS",)),
    "cr3": Brief(("ROOT",), ("PCID", "LAM_U48", "LAM_U57")),
    "cr4": Brief(("PAE", "PGE", "SMEP", "SMAP"), ("LA57", "PCIDE", "PKE", "PKS", "CET", "PSE", "LAM_SUP")),
    "efer": Brief(("LMA", "NXE"), ("SVME",)),
    "eflags": Brief((), ("AC",)),
    "cs": Brief(("RPL",)),
}
"""What says most of a register, by its name."""
