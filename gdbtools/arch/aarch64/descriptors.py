"""VMSAv8-64 stage 1 descriptors.

Source: DDI 0487, "VMSAv8-64 translation table format descriptors": "Table descriptors", "Block descriptors", "Page
descriptors", "Attribute fields in stage 1 descriptors".
"""

from __future__ import annotations

from functools import cache

from gdbtools.bits import Field, Word

VALID = Field(0, doc="valid", name="VALID")
KIND = Field((1, 0), doc="descriptor type", name="TYPE")
TYPE_BLOCK, TYPE_TABLE_OR_PAGE = 0b01, 0b11

_NO_YES = {0: "no", 1: "yes"}

AP_EL0 = 0b01
"""AP[1]: EL0 may access."""
AP_READ_ONLY = 0b10
"""AP[2]: nobody may write."""


class InvalidDescriptor(Word):
    """An entry the hardware ignores: bit 0 is clear, or its type is reserved at its level."""

    SOFTWARE = Field((63, 2), doc="ignored by hardware")
    TYPE = Field((1, 0), doc="descriptor type", values={0b00: "invalid", 0b10: "invalid", 0b01: "reserved here"})


class TableDescriptor(Word):
    """An entry that leads to the next level's table."""

    NSTable = Field(63, doc="the next levels are Non-secure", values=_NO_YES)
    APTable = Field(
        (62, 61),
        doc="access limit for the next levels",
        values={0: "none", 1: "no EL0 access", 2: "no write access", 3: "no write access, no EL0 access"},
    )
    UXNTable = Field(60, doc="EL0 execute-never for the next levels", values=_NO_YES)
    PXNTable = Field(59, doc="EL1 execute-never for the next levels", values=_NO_YES)
    IGNORED = Field((58, 51), doc="ignored by hardware, free for software")
    NextTable = Field((47, 12), doc="next-level table address", scale=1 << 12)
    IGNORED_LOW = Field((11, 2), doc="ignored by hardware (bit 10 is the table's AF under FEAT_HAFT)")
    TYPE = Field((1, 0), doc="descriptor type", values={TYPE_TABLE_OR_PAGE: "table"})


class LeafDescriptor(Word):
    """A block or page descriptor; `leaf_descriptor` gives the class for a size."""

    IGNORED = Field(63, doc="ignored by hardware")
    PBHA = Field((62, 59), doc="page-based hardware attributes")
    SOFTWARE = Field((58, 55), doc="free for software")
    UXN = Field(54, doc="EL0 execute-never", values=_NO_YES)
    PXN = Field(53, doc="EL1 execute-never", values=_NO_YES)
    Contiguous = Field(52, doc="one of a contiguous run", values=_NO_YES)
    DBM = Field(51, doc="dirty bit modifier", values=_NO_YES)
    GP = Field(50, doc="guarded page (BTI)", values=_NO_YES)
    OutputAddress = Field((47, 12), doc="output address", scale=1 << 12)
    nG = Field(11, doc="not global", values={0: "global", 1: "this ASID only"})
    AF = Field(10, doc="access flag", values={0: "not accessed", 1: "accessed"})
    SH = Field((9, 8), doc="shareability", values={0: "Non-shareable", 2: "Outer Shareable", 3: "Inner Shareable"})
    AP = Field(
        (7, 6),
        doc="access permissions",
        values={
            0b00: "EL1 read/write, EL0 none",
            0b01: "EL1 and EL0 read/write",
            0b10: "EL1 read-only, EL0 none",
            0b11: "EL1 and EL0 read-only",
        },
    )
    NS = Field(5, doc="Non-secure", values=_NO_YES)
    AttrIndx = Field((4, 2), doc="MAIR index")
    TYPE = Field((1, 0), doc="descriptor type", values={TYPE_BLOCK: "block", TYPE_TABLE_OR_PAGE: "page"})


@cache
def leaf_descriptor(size_bits: int, block: bool) -> type[LeafDescriptor]:
    """Give the class of a page or block of 2^size_bits bytes: they differ in where the output address ends."""
    fields: dict[str, object] = {"OutputAddress": Field((47, size_bits), doc="output address", scale=1 << size_bits)}
    if block and size_bits > 16:
        fields["nT"] = Field(16, doc="no translation conflict: the TLB may not cache it (FEAT_BBM)", values=_NO_YES)
    name = "BlockDescriptor" if block else "PageDescriptor"
    return type(name, (LeafDescriptor,), {"__doc__": f"A {name[:-10].lower()} of 2^{size_bits} bytes.", **fields})


@cache
def table_descriptor(granule_bits: int) -> type[TableDescriptor]:
    """Give the table descriptor class of a granule: a table is aligned to it."""
    address = Field((47, granule_bits), doc="next-level table address", scale=1 << granule_bits)
    return type("TableDescriptor", (TableDescriptor,), {"__doc__": TableDescriptor.__doc__, "NextTable": address})


def software_bit(bit: int) -> Field:
    """Give one of the four bits that hardware leaves to software (55 to 58) as a field of its own."""
    if not LeafDescriptor.SOFTWARE.mask >> bit & 1:
        raise ValueError(f"bit {bit} is not one of software's own, 55 to 58")
    return Field(bit, doc="software's own", name="SOFTWARE")
