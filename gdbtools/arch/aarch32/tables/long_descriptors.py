"""Long descriptors: blocks, pages, and the entries that lead to tables and limit what is below them.

Source: DDI 0487, "VMSAv8-32 Long-descriptor translation table format descriptors", "Attribute fields in VMSAv8-32
Long-descriptor stage 1".
"""

from __future__ import annotations

from functools import cache
from typing import Final

from gdbtools.arch.aarch32.tables.geometry import PAGE_BITS
from gdbtools.arch.aarch32.tables.short_descriptors import AP_SIMPLIFIED
from gdbtools.bits import NO_YES, Field, Word

VALID: Final = Field(0, doc="valid", name="VALID")
LONG_KIND: Final = Field((1, 0), doc="descriptor type", name="TYPE")
BLOCK, TABLE_OR_PAGE = 0b01, 0b11
_ADDRESS_TOP: Final = 47
"""Bits [47:40] of an address have to be 0."""


class InvalidLong(Word):
    """An entry that hardware ignores: bit 0 is clear, or its type is reserved at its level."""

    SOFTWARE = Field((63, 2), doc="ignored by hardware")
    TYPE = Field((1, 0), doc="descriptor type", values={0b00: "invalid", 0b10: "invalid", BLOCK: "reserved here"})


class LongTable(Word):
    """An entry that leads to the next level's table."""

    NSTable = Field(63, doc="the next levels are Non-secure", values=NO_YES)
    APTable = Field(
        (62, 61),
        doc="access limit for the next levels",
        values={0: "none", 1: "no PL0 access", 2: "no write access", 3: "no write access, no PL0 access"},
    )
    XNTable = Field(60, doc="execute-never for the next levels", values=NO_YES)
    PXNTable = Field(59, doc="privileged execute-never for the next levels", values=NO_YES)
    IGNORED = Field((58, 52), doc="ignored by hardware, free for software")
    NextTable = Field((_ADDRESS_TOP, PAGE_BITS), doc="next-level table address", scale=1 << PAGE_BITS)
    IGNORED_LOW = Field((11, 2), doc="ignored by hardware")
    TYPE = Field((1, 0), doc="descriptor type", values={TABLE_OR_PAGE: "table"})


class LongLeaf(Word):
    """What every block and page has; `long_leaf` gives the class for a size."""

    IGNORED = Field((63, 59), doc="ignored by hardware")
    SOFTWARE = Field((58, 55), doc="free for software")
    XN = Field(54, doc="execute-never", values=NO_YES)
    PXN = Field(53, doc="privileged execute-never", values=NO_YES)
    Contiguous = Field(52, doc="one of a contiguous run", values=NO_YES)
    nG = Field(11, doc="not global", values={0: "global", 1: "this ASID only"})
    AF = Field(10, doc="access flag", values={0: "not accessed", 1: "accessed"})
    SH = Field((9, 8), doc="shareability", values={0: "Non-shareable", 2: "Outer Shareable", 3: "Inner Shareable"})
    AP = Field((7, 6), doc="access permissions", values=AP_SIMPLIFIED)
    NS = Field(5, doc="Non-secure", values=NO_YES)
    AttrIndx = Field((4, 2), doc="index into MAIR0 and MAIR1")
    TYPE = Field((1, 0), doc="descriptor type", values={BLOCK: "block", TABLE_OR_PAGE: "page"})


@cache
def long_leaf(size_bits: int) -> type[LongLeaf]:
    """Return the class of a leaf of 2^size_bits bytes: they differ in where the output address ends."""
    address = Field((_ADDRESS_TOP, size_bits), doc="output address", scale=1 << size_bits)
    name, doc = ("Page", "page") if size_bits == PAGE_BITS else ("Block", "block")
    return type(f"Long{name}", (LongLeaf,), {"__doc__": f"A {doc} of 2^{size_bits} bytes.", "OutputAddress": address})
