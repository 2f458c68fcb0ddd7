"""The registers that say where the tables are: satp, vsatp, hgatp.

Source: The RISC-V Privileged Architecture, "Supervisor Address Translation and Protection (satp) Register", "Virtual
Supervisor Address Translation and Protection (vsatp) Register", "Hypervisor Guest Address Translation and Protection
(hgatp) Register".
"""

from __future__ import annotations

from gdbtools.bits import Field, Word

PAGE = 1 << 12


class SATP64(Word):
    """Supervisor Address Translation and Protection, where its XLEN is 64; vsatp has the same layout."""

    MODE = Field((63, 60), doc="translation scheme", values={0: "Bare", 8: "Sv39", 9: "Sv48", 10: "Sv57"})
    ASID = Field((59, 44), doc="address space identifier")
    PPN = Field((43, 0), doc="root table, as a page number")

    @property
    def root(self) -> int:
        return self.PPN * PAGE


class SATP32(Word):
    """Supervisor Address Translation and Protection, where its XLEN is 32; vsatp has the same layout."""

    width = 32
    MODE = Field(31, doc="translation scheme", values={0: "Bare", 1: "Sv32"})
    ASID = Field((30, 22), doc="address space identifier")
    PPN = Field((21, 0), doc="root table, as a page number")

    @property
    def root(self) -> int:
        return self.PPN * PAGE


class HGATP64(Word):
    """Hypervisor Guest Address Translation and Protection, where HSXLEN is 64."""

    MODE = Field((63, 60), doc="translation scheme", values={0: "Bare", 8: "Sv39x4", 9: "Sv48x4", 10: "Sv57x4"})
    VMID = Field((57, 44), doc="virtual machine identifier")
    PPN = Field((43, 0), doc="root table, as a page number; its lowest two bits are 0")

    @property
    def root(self) -> int:
        """Where the 16 KiB of the root are; it is aligned to that."""
        return self.PPN * PAGE & -4 * PAGE


class HGATP32(Word):
    """Hypervisor Guest Address Translation and Protection, where HSXLEN is 32."""

    width = 32
    MODE = Field(31, doc="translation scheme", values={0: "Bare", 1: "Sv32x4"})
    VMID = Field((28, 22), doc="virtual machine identifier")
    PPN = Field((21, 0), doc="root table, as a page number; its lowest two bits are 0")

    @property
    def root(self) -> int:
        """Where the 16 KiB of the root are; it is aligned to that."""
        return self.PPN * PAGE & -4 * PAGE
