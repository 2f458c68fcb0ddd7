"""Short descriptors: sections, supersections, pages and large pages, and the entries that lead to tables.

SCTLR.AFE makes AP[0] the access flag, and SCTLR.TRE leaves TEX[2:1] to software: a descriptor is the word that it is
under both.  Source: DDI 0487, "Short-descriptor translation table format descriptors".
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cache
from typing import Final

from gdbtools.arch.aarch32.registers.translation import Word32
from gdbtools.arch.aarch32.tables.geometry import (
    LARGE_PAGE_BITS,
    PAGE_BITS,
    SECTION_BITS,
    SHORT_TABLE_BITS,
    SUPERSECTION_BITS,
)
from gdbtools.bits import NO_YES, Field
from gdbtools.wording import name_of

KIND: Final = Field((1, 0), doc="descriptor type", name="TYPE")
SUPERSECTION: Final = Field(18, doc="a supersection", values=NO_YES, name="SUPERSECTION")
INVALID, TABLE_OR_LARGE, SECTION_OR_PAGE, SECTION_OR_PAGE_NEVER = range(4)
"""KIND: at level 1 a table is where at level 2 a large page is, and bit 0 of the others is PXN or XN."""

AP_FULL: Final = {
    0b000: "no access",
    0b001: "PL1 read/write, PL0 none",
    0b010: "PL1 read/write, PL0 read-only",
    0b011: "PL1 and PL0 read/write",
    0b100: "reserved",
    0b101: "PL1 read-only, PL0 none",
    0b110: "PL1 and PL0 read-only (deprecated)",
    0b111: "PL1 and PL0 read-only",
}
AP_SIMPLIFIED: Final = {
    0b00: "PL1 read/write, PL0 none",
    0b01: "PL1 and PL0 read/write",
    0b10: "PL1 read-only, PL0 none",
    0b11: "PL1 and PL0 read-only",
}
AP_USER: Final = 0b01
"""AP[1] of the simplified model, and of long descriptors: PL0 may access."""
AP_READ_ONLY: Final = 0b10
"""AP[2] of the same: nobody may write."""


class InvalidShort(Word32):
    """An entry that hardware ignores, but for its type."""

    SOFTWARE = Field((31, 2), doc="ignored by hardware")
    TYPE = Field((1, 0), doc="descriptor type", values={INVALID: "invalid", SECTION_OR_PAGE_NEVER: "reserved here"})


class ShortTable(Word32):
    """A first-level entry that leads to a second-level table, and has of its pages what those have no room for."""

    NextTable = Field((31, SHORT_TABLE_BITS), doc="next-level table address", scale=1 << SHORT_TABLE_BITS)
    IMP = Field(9, doc="IMPLEMENTATION DEFINED")
    Domain = Field((8, 5), doc="domain")
    NS = Field(3, doc="Non-secure", values=NO_YES)
    PXN = Field(2, doc="privileged execute-never", values=NO_YES)
    TYPE = Field((1, 0), doc="descriptor type", values={TABLE_OR_LARGE: "table"})


class ShortLeaf(Word32):
    """What every leaf has; `short_leaf` gives the class for a shape and the controls that it is read under."""

    nG = Field(17, doc="not global", values={0: "global", 1: "this ASID only"})
    S = Field(16, doc="shareable", values=NO_YES)
    C = Field(3, doc="chooses the memory type")
    B = Field(2, doc="chooses the memory type")


class Shape(enum.Enum):
    """The four kinds of leaf."""

    SECTION = enum.auto()
    SUPERSECTION = enum.auto()
    LARGE_PAGE = enum.auto()
    SMALL_PAGE = enum.auto()

    @property
    def label(self) -> str:
        return name_of(self)

    @property
    def is_page(self) -> bool:
        return self in (Shape.LARGE_PAGE, Shape.SMALL_PAGE)


@dataclass(frozen=True)
class _FieldPlaces:
    """Where a kind of leaf has its fields; bits that follow one another are given by their lowest."""

    size_bits: int
    address: tuple[tuple[int, int], ...]
    tex: int
    ap2: int
    ap: int
    ng: int
    s: int
    xn: int


_PLACES: Final = {
    Shape.SECTION: _FieldPlaces(SECTION_BITS, ((31, SECTION_BITS),), tex=12, ap2=15, ap=10, ng=17, s=16, xn=4),
    Shape.SUPERSECTION: _FieldPlaces(
        SUPERSECTION_BITS, ((8, 5), (23, 20), (31, SUPERSECTION_BITS)), tex=12, ap2=15, ap=10, ng=17, s=16, xn=4
    ),
    Shape.LARGE_PAGE: _FieldPlaces(LARGE_PAGE_BITS, ((31, LARGE_PAGE_BITS),), tex=12, ap2=9, ap=4, ng=11, s=10, xn=15),
    Shape.SMALL_PAGE: _FieldPlaces(PAGE_BITS, ((31, PAGE_BITS),), tex=6, ap2=9, ap=4, ng=11, s=10, xn=0),
}
SIZE_BITS: Final = {shape: places.size_bits for shape, places in _PLACES.items()}


def shape_of(value: int, level: int) -> Shape:
    """Return which kind of leaf a descriptor is that is one at its level."""
    if level == 1:
        return Shape.SUPERSECTION if SUPERSECTION.of(value) else Shape.SECTION
    return Shape.LARGE_PAGE if KIND.of(value) == TABLE_OR_LARGE else Shape.SMALL_PAGE


@cache
def short_leaf(shape: Shape, flag: bool, remap: bool) -> type[ShortLeaf]:
    """Return the class of a kind of leaf; `flag` is SCTLR.AFE, `remap` SCTLR.TRE."""
    places = _PLACES[shape]
    fields = {
        "OutputAddress": Field(*places.address, doc="output address", scale=1 << places.size_bits),
        "nG": Field(places.ng, doc=ShortLeaf.nG.doc, values=ShortLeaf.nG.values),
        "S": Field(places.s, doc=ShortLeaf.S.doc, values=NO_YES),
        "XN": Field(places.xn, doc="execute-never", values=NO_YES),
    }
    if remap:
        fields["SOFTWARE"] = Field((places.tex + 2, places.tex + 1), doc="free for software under TEX remap")
        fields["TEX0"] = Field(places.tex, doc="chooses the memory type")
    else:
        fields["TEX"] = Field((places.tex + 2, places.tex), doc="chooses the memory type")
    if flag:
        fields["AP"] = Field(places.ap2, places.ap + 1, doc="access permissions", values=AP_SIMPLIFIED)
        fields["AF"] = Field(places.ap, doc="access flag", values={0: "not accessed", 1: "accessed"})
    else:
        fields["AP"] = Field(places.ap2, (places.ap + 1, places.ap), doc="access permissions", values=AP_FULL)
    if shape.is_page:
        low = 0 if shape is Shape.LARGE_PAGE else 1
        fields["TYPE"] = Field((1, low), doc="descriptor type", values={1: shape.label})
    else:
        fields |= {
            "NS": Field(19, doc="Non-secure", values=NO_YES),
            "SUPERSECTION": SUPERSECTION,
            "IMP": ShortTable.IMP,
            "TYPE": Field(1, doc="descriptor type", values={1: shape.label}),
            "PXN": Field(0, doc="privileged execute-never", values=NO_YES),
        }
        if shape is Shape.SECTION:
            fields["Domain"] = ShortTable.Domain
    name = "".join(part.capitalize() for part in shape.name.split("_"))
    return type(f"{name}Descriptor", (ShortLeaf,), {"__doc__": f"A {shape.label} of short descriptors.", **fields})
