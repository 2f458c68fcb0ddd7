"""What the hypervisor says of the second stage: the roots of EPT and of nested tables, and the controls of both.

Names are the manuals' own: `nCR3` is the VMCB's, `hCR4` and `hEFER` are the host's as VMRUN met them.

Source: Intel SDM volume 3, "Extended-Page-Table Pointer (EPTP)", "Secondary Processor-Based VM-Execution Controls",
"Tertiary Processor-Based VM-Execution Controls", "Reporting Capability: IA32_VMX_EPT_VPID_CAP"; AMD64 APM volume 2,
"Nested Paging".
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.x86_64.registers.control import PAGE
from gdbtools.bits import NO_YES, OFF_ON, Field, Word

EPT_TYPES: Final = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB"}
"""The memory types of EPT: every other value is a misconfiguration."""


class EPTP(Word):
    """The extended-page-table pointer, a field of the VMCS."""

    ROOT = Field((51, 12), doc="root table", scale=PAGE)
    SSS = Field(7, doc="supervisor shadow-stack control", values=OFF_ON)
    AD = Field(6, doc="accessed and dirty flags", values=OFF_ON)
    PWL = Field((5, 3), doc="page-walk length less 1", values={3: "4 levels", 4: "5 levels"})
    MT = Field((2, 0), doc="memory type of the tables", values=EPT_TYPES)


class NCR3(Word):
    """The root of nested tables, a field of the VMCB."""

    ROOT = Field((51, 12), doc="root of the nested tables", scale=PAGE)
    PCD = Field(4, doc="the root table is not cached", values=NO_YES)
    PWT = Field(3, doc="the root table is written through", values=NO_YES)


class SecondaryControls(Word):
    """Secondary processor-based VM-execution controls: those that count for EPT."""

    width = 32
    SPP = Field(23, doc="sub-page write permissions", values=OFF_ON)
    MBEC = Field(22, doc="mode-based execute control for EPT", values=OFF_ON)
    VE = Field(18, doc="EPT violations may be #VE", values=OFF_ON)
    UG = Field(7, doc="unrestricted guest", values=OFF_ON)
    EPT = Field(1, doc="EPT", values=OFF_ON)


class TertiaryControls(Word):
    """Tertiary processor-based VM-execution controls: those that count for EPT."""

    GPV = Field(3, doc="guest-paging verification", values=OFF_ON)
    PW = Field(2, doc="EPT paging-write control", values=OFF_ON)
    HLAT = Field(1, doc="hypervisor-managed linear-address translation", values=OFF_ON)


class EPTCapabilities(Word):
    """IA32_VMX_EPT_VPID_CAP: what of EPT the processor has."""

    SSS = Field(23, doc="supervisor shadow-stack control", values=NO_YES)
    ADVANCED = Field(22, doc="advanced VM-exit information for EPT violations", values=NO_YES)
    AD = Field(21, doc="accessed and dirty flags", values=NO_YES)
    PAGES_1G = Field(17, doc="pages of 1GB", values=NO_YES)
    PAGES_2M = Field(16, doc="pages of 2MB", values=NO_YES)
    WB = Field(14, doc="tables may be WB", values=NO_YES)
    UC = Field(8, doc="tables may be UC", values=NO_YES)
    LEVELS_5 = Field(7, doc="page walks of 5 levels", values=NO_YES)
    LEVELS_4 = Field(6, doc="page walks of 4 levels", values=NO_YES)
    EXECUTE_ONLY = Field(0, doc="execute-only translations", values=NO_YES)
