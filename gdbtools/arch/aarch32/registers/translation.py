"""The registers that VMSAv8-32 translation needs, as the Arm ARM (DDI 0487) lays them out.

TTBCR.EAE chooses the translation table format, and with it how TTBCR itself, TTBR0, TTBR1 and the pair MAIR0, MAIR1
(PRRR, NMRR) are laid out.  Source of every class: the section of its own name in chapter G8, "AArch32 System Register
Descriptions".
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.arm.memory_names import memory_type
from gdbtools.bits import NO_YES, OFF_ON, Field, Word

_SHORT_LONG: Final = {0: "short descriptors", 1: "long descriptors"}
_WALK: Final = {0: "no", 1: "yes, a TLB miss faults"}
SHAREABILITY: Final = {0b00: "Non-shareable", 0b10: "Outer Shareable", 0b11: "Inner Shareable"}
REGION: Final = {
    0b00: "Non-cacheable",
    0b01: "Write-Back Write-Allocate",
    0b10: "Write-Through no Write-Allocate",
    0b11: "Write-Back no Write-Allocate",
}
SHORT_ROOT_BITS: Final = 14
"""log2 of the bytes of a first-level table that translates all 32 bits of an address."""
OUTPUT_BITS: Final = 40
"""How many bits the address of a table, or an output address, has at most."""


class Word32(Word):
    """A register of 32 bits."""

    width = 32


class SCTLR32(Word32):
    """System Control Register."""

    TE = Field(30, doc="exceptions are taken in T32", values=NO_YES)
    AFE = Field(29, doc="AP[0] is the access flag", values=OFF_ON)
    TRE = Field(28, doc="TEX remap: PRRR and NMRR give memory types", values=OFF_ON)
    EE = Field(25, doc="byte order of exceptions and table walks", values={0: "little-endian", 1: "big-endian"})
    SPAN = Field(23, doc="exceptions leave PAN as it is", values=NO_YES)
    UWXN = Field(20, doc="what PL0 may write PL1 may not execute", values=OFF_ON)
    WXN = Field(19, doc="what is writable is not executable", values=OFF_ON)
    V = Field(13, doc="vectors", values={0: "at VBAR", 1: "at 0xffff0000"})
    I = Field(12, doc="instruction caches", values=OFF_ON)  # noqa: E741
    Z = Field(11, doc="branch prediction", values=OFF_ON)
    SED = Field(8, doc="SETEND is disabled", values=NO_YES)
    ITD = Field(7, doc="some uses of IT are disabled", values=NO_YES)
    CP15BEN = Field(5, doc="CP15 barrier instructions", values=OFF_ON)
    C = Field(2, doc="data caches", values=OFF_ON)
    A = Field(1, doc="alignment check", values=OFF_ON)
    M = Field(0, doc="MMU", values=OFF_ON)
    RES1 = 1 << 23 | 1 << 22 | 1 << 18 | 1 << 16 | 1 << 4 | 1 << 3
    """Of ARMv7, too: there bits 23, 22 and 16 are as they are in this, whatever they are."""


class TTBCR(Word32):
    """Translation Table Base Control Register while EAE is 0."""

    EAE = Field(31, doc="translation table format", values=_SHORT_LONG)
    PD1 = Field(5, doc="walks of TTBR1 disabled", values=_WALK)
    PD0 = Field(4, doc="walks of TTBR0 disabled", values=_WALK)
    N = Field((2, 0), doc="TTBR0 translates what has its upper N bits 0, TTBR1 all else; 0: TTBR0 all")


class TTBCR_LONG(Word32):
    """Translation Table Base Control Register while EAE is 1."""

    EAE = Field(31, doc="translation table format", values=_SHORT_LONG)
    SH1 = Field((29, 28), doc="shareability of TTBR1's walks", values=SHAREABILITY)
    ORGN1 = Field((27, 26), doc="outer cacheability of TTBR1's walks", values=REGION)
    IRGN1 = Field((25, 24), doc="inner cacheability of TTBR1's walks", values=REGION)
    EPD1 = Field(23, doc="walks of TTBR1 disabled", values=_WALK)
    A1 = Field(22, doc="which register defines the ASID", values={0: "TTBR0.ASID", 1: "TTBR1.ASID"})
    T1SZ = Field((18, 16), doc="size offset of TTBR1's range: the highest 2^(32-T1SZ) bytes")
    SH0 = Field((13, 12), doc="shareability of TTBR0's walks", values=SHAREABILITY)
    ORGN0 = Field((11, 10), doc="outer cacheability of TTBR0's walks", values=REGION)
    IRGN0 = Field((9, 8), doc="inner cacheability of TTBR0's walks", values=REGION)
    EPD0 = Field(7, doc="walks of TTBR0 disabled", values=_WALK)
    T2E = Field(6, doc="TTBCR2 counts", values=NO_YES)
    T0SZ = Field((2, 0), doc="size offset of TTBR0's range: the lowest 2^(32-T0SZ) bytes")


class TTBR_SHORT(Word32):
    """Translation Table Base Register 0 or 1 while TTBCR.EAE is 0; of TTBR0, bits [13-N:7] are of the base, too."""

    BADDR = Field((31, 7), doc="translation table base address", scale=1 << 7)
    NOS = Field(5, doc="shareable walks are Inner Shareable only", values=NO_YES)
    RGN = Field((4, 3), doc="outer cacheability of walks", values=REGION)
    IMP = Field(2, doc="IMPLEMENTATION DEFINED")
    S = Field(1, doc="walks are shareable", values=NO_YES)
    IRGN = Field(0, 6, doc="inner cacheability of walks", values=REGION)


class TTBR_LONG(Word):
    """Translation Table Base Register 0 or 1 while TTBCR.EAE is 1."""

    ASID = Field((55, 48), doc="address space identifier")
    BADDR = Field((47, 1), doc="translation table base address", scale=2)
    CnP = Field(0, doc="Common not Private: the same table on every PE of the Inner Shareable domain", values=NO_YES)


DOMAIN_ACCESS: Final = {0: "no access", 1: "client", 2: "reserved", 3: "manager"}
NO_ACCESS, CLIENT, RESERVED_ACCESS, MANAGER = DOMAIN_ACCESS
DOMAINS: Final = 16


class DACR(Word32):
    """Domain Access Control Register: what is checked of an access, by the domain of what it reaches."""

    D15, D14, D13, D12, D11, D10, D9, D8, D7, D6, D5, D4, D3, D2, D1, D0 = (
        Field((2 * n + 1, 2 * n), doc=f"domain {n}", values=DOMAIN_ACCESS) for n in reversed(range(DOMAINS))
    )

    def domain(self, number: int) -> int:
        """Return what a domain has: one of `DOMAIN_ACCESS`."""
        return domain_field(number).of(self)


def domain_field(number: int) -> Field:
    """Return the field of DACR that is of a domain."""
    return DACR.field(f"D{number}")


_TYPE: Final = {0: "Device-nGnRnE", 1: "Device-nGnRE", 2: "Normal", 3: "reserved"}
REMAPPED: Final = 8
"""How many memory types TEX[0], C and B choose from under TEX remap."""


class PRRR(Word32):
    """Primary Region Remap Register: MAIR0 while TTBCR.EAE is 0."""

    NOS7, NOS6, NOS5, NOS4, NOS3, NOS2, NOS1, NOS0 = (
        Field(24 + n, doc=f"of type {n}, what is shareable is Inner Shareable only", values=NO_YES)
        for n in reversed(range(REMAPPED))
    )
    NS1 = Field(19, doc="Normal memory with S=1 is shareable", values=NO_YES)
    NS0 = Field(18, doc="Normal memory with S=0 is shareable", values=NO_YES)
    DS1 = Field(17, doc="Device memory with S=1 is shareable", values=NO_YES)
    DS0 = Field(16, doc="Device memory with S=0 is shareable", values=NO_YES)
    TR7, TR6, TR5, TR4, TR3, TR2, TR1, TR0 = (
        Field((2 * n + 1, 2 * n), doc=f"memory type {n}", values=_TYPE) for n in reversed(range(REMAPPED))
    )


class NMRR(Word32):
    """Normal Memory Remap Register: MAIR1 while TTBCR.EAE is 0."""

    OR7, OR6, OR5, OR4, OR3, OR2, OR1, OR0 = (
        Field((2 * n + 17, 2 * n + 16), doc=f"outer cacheability of type {n}", values=REGION)
        for n in reversed(range(REMAPPED))
    )
    IR7, IR6, IR5, IR4, IR3, IR2, IR1, IR0 = (
        Field((2 * n + 1, 2 * n), doc=f"inner cacheability of type {n}", values=REGION)
        for n in reversed(range(REMAPPED))
    )


class MAIR0(Word32):
    """Memory Attribute Indirection Register 0 while TTBCR.EAE is 1."""

    Attr3, Attr2, Attr1, Attr0 = (
        Field((8 * n + 7, 8 * n), doc=f"memory type {n}", values={attr: memory_type(attr) for attr in range(256)})
        for n in reversed(range(4))
    )


class MAIR1(Word32):
    """Memory Attribute Indirection Register 1 while TTBCR.EAE is 1."""

    Attr7, Attr6, Attr5, Attr4 = (
        Field((8 * n + 7, 8 * n), doc=f"memory type {n + 4}", values={attr: memory_type(attr) for attr in range(256)})
        for n in reversed(range(4))
    )


class CONTEXTIDR_SHORT(Word32):
    """Context ID Register while TTBCR.EAE is 0: the ASID is here."""

    PROCID = Field((31, 8), doc="process identifier")
    ASID = Field((7, 0), doc="address space identifier")


class CONTEXTIDR_LONG(Word32):
    """Context ID Register while TTBCR.EAE is 1."""

    PROCID = Field((31, 0), doc="process identifier")


class ID_MMFR0(Word32):
    """Memory Model Feature Register 0."""

    InnerShr = Field((31, 28), doc="innermost shareability")
    FCSE = Field((27, 24), doc="Fast Context Switch Extension", values=NO_YES)
    AuxReg = Field((23, 20), doc="auxiliary registers")
    TCM = Field((19, 16), doc="tightly coupled memory")
    ShareLvl = Field((15, 12), doc="shareability levels", values={0: "one", 1: "two"})
    OuterShr = Field((11, 8), doc="outermost shareability")
    PMSA = Field((7, 4), doc="protected memory system")
    VMSA = Field(
        (3, 0),
        doc="virtual memory system",
        values={0: "none", 3: "VMSAv7", 4: "VMSAv7 with PXN", 5: "VMSAv7 with PXN and long descriptors"},
    )


HAS_PXN: Final = 4
"""The least ID_MMFR0.VMSA of a processor with PXN in short descriptors."""
