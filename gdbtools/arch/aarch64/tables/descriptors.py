"""VMSAv8-64 descriptors: one word, several views, chosen by who reads it.

A stage 1 of two privilege levels, a stage 1 of one, and a stage 2 give the same bits other names, and permission
indirection gives them others again; the output address has three layouts.  Source: DDI 0487, "VMSAv8-64 translation
table format descriptors": "Table descriptors", "Block descriptors", "Page descriptors", "Attribute fields in stage 1
descriptors", "Attribute fields in stage 2 descriptors", and "Stage 1 Base Permissions" for PIIndex.
"""

from __future__ import annotations

import enum
from functools import cache

from gdbtools.bits import NO_YES, Field, Word

VALID = Field(0, doc="valid", name="VALID")
KIND = Field((1, 0), doc="descriptor type", name="TYPE")
TABLE_AF = Field(10, doc="access flag of a table (FEAT_HAFT)", name="AF")
TYPE_BLOCK, TYPE_TABLE_OR_PAGE = 0b01, 0b11

_ONE_LEVEL_AP = {0: "read/write", 1: "read/write", 2: "read-only", 3: "read-only"}
_SH = {0: "Non-shareable", 2: "Outer Shareable", 3: "Inner Shareable"}

AP_EL0 = 0b01
"""AP[1]: EL0 may access."""
AP_READ_ONLY = 0b10
"""AP[2]: nobody may write."""
S2AP_READ, S2AP_WRITE = 0b01, 0b10


class Layout(enum.Enum):
    """Where an output address has its bits from 48 on."""

    BITS_48 = enum.auto()
    LPA = enum.auto()
    """64KB with FEAT_LPA: [51:48] in bits [15:12]."""
    LPA2 = enum.auto()
    """4KB and 16KB with TCR_ELx.DS: [51:50] in bits [9:8], where SH was; [49:48] in their natural place."""

    def segments(self, low: int) -> tuple[tuple[int, int], ...]:
        """Return the segments of an address whose lowest bit is `low`, most significant first."""
        if self is Layout.LPA:
            return (15, 12), (47, low)
        return ((9, 8), (49, low)) if self is Layout.LPA2 else ((47, low),)

    def in_place(self, low: int) -> int:
        """Return the bits of a descriptor where such an address has its own: they count up as addresses do."""
        first, last = self.segments(low)[-1]
        return (2 << first) - (1 << last)


class EntryRole(enum.Enum):
    """Who reads a descriptor, and so what its permission bits are."""

    TWO_LEVELS = enum.auto()
    """Stage 1 with EL0 in it: EL1&0, EL2&0."""
    NESTED = enum.auto()
    """Stage 1 of EL1&0 under HCR_EL2.{NV, NV1}: a guest hypervisor's, which has no EL0."""
    ONE_LEVEL = enum.auto()
    """Stage 1 of EL2, or of EL3."""
    ROOT = enum.auto()
    """Stage 1 of EL3 under FEAT_RME."""
    INDIRECT = enum.auto()
    """Stage 1 with permission indirection (TCR2_ELx.PIE)."""
    ROOT_INDIRECT = enum.auto()
    STAGE2 = enum.auto()
    STAGE2_INDIRECT = enum.auto()
    """Stage 2 with VTCR_EL2.S2PIE."""
    STAGE2_REALM = enum.auto()
    STAGE2_REALM_INDIRECT = enum.auto()


class InvalidDescriptor(Word):
    """An entry the hardware ignores: bit 0 is clear, or its type is reserved at its level."""

    SOFTWARE = Field((63, 2), doc="ignored by hardware")
    TYPE = Field((1, 0), doc="descriptor type", values={0b00: "invalid", 0b10: "invalid", 0b01: "reserved here"})


class TableDescriptor(Word):
    """An entry that leads to the next level's table."""

    IGNORED = Field((58, 51), doc="ignored by hardware, free for software")
    NextTable = Field((47, 12), doc="next-level table address", scale=1 << 12)
    IGNORED_LOW = Field((11, 2), doc="ignored by hardware (bit 10 is the table's AF under FEAT_HAFT)")
    TYPE = Field((1, 0), doc="descriptor type", values={TYPE_TABLE_OR_PAGE: "table"})


class TwoLevelTable(TableDescriptor):
    """A table descriptor that limits what is below it, of two privilege levels."""

    NSTable = Field(63, doc="the next levels are Non-secure", values=NO_YES)
    APTable = Field(
        (62, 61),
        doc="access limit for the next levels",
        values={0: "none", 1: "no EL0 access", 2: "no write access", 3: "no write access, no EL0 access"},
    )
    UXNTable = Field(60, doc="EL0 execute-never for the next levels", values=NO_YES)
    PXNTable = Field(59, doc="privileged execute-never for the next levels", values=NO_YES)


class OneLevelTable(TableDescriptor):
    """A table descriptor that limits what is below it, of one privilege level."""

    NSTable = Field(63, doc="the next levels are Non-secure", values=NO_YES)
    APTable = Field((62, 61), doc="access limit for the next levels", values={0: "none", 2: "no write access"})
    XNTable = Field(60, doc="execute-never for the next levels", values=NO_YES)


class NestedTable(TableDescriptor):
    """A table descriptor of a guest hypervisor: as with one privilege level."""

    NSTable = Field(63, doc="the next levels are Non-secure", values=NO_YES)
    APTable = Field((62, 61), doc="access limit for the next levels", values={0: "none", 2: "no write access"})
    PXNTable = Field(60, doc="privileged execute-never for the next levels", values=NO_YES)


class LeafDescriptor(Word):
    """What every block and page descriptor has; `leaf_descriptor` gives the class for a role and a size."""

    IGNORED = Field(63, doc="ignored by hardware")
    PBHA = Field((62, 59), doc="page-based hardware attributes")
    SOFTWARE = Field((58, 55), doc="free for software")
    Contiguous = Field(52, doc="one of a contiguous run", values=NO_YES)
    OutputAddress = Field((47, 12), doc="output address", scale=1 << 12)
    AF = Field(10, doc="access flag", values={0: "not accessed", 1: "accessed"})
    SH = Field((9, 8), doc="shareability", values=_SH)
    TYPE = Field((1, 0), doc="descriptor type", values={TYPE_BLOCK: "block", TYPE_TABLE_OR_PAGE: "page"})


class Stage1Leaf(LeafDescriptor):
    """A stage 1 leaf, whoever reads it."""

    GP = Field(50, doc="guarded page (BTI)", values=NO_YES)
    NS = Field(5, doc="Non-secure", values=NO_YES)
    AttrIndx = Field((4, 2), doc="MAIR index")


class TwoLevelLeaf(Stage1Leaf):
    """A stage 1 leaf of two privilege levels."""

    UXN = Field(54, doc="EL0 execute-never", values=NO_YES)
    PXN = Field(53, doc="privileged execute-never", values=NO_YES)
    DBM = Field(51, doc="dirty bit modifier", values=NO_YES)
    nG = Field(11, doc="not global", values={0: "global", 1: "this ASID only"})
    AP = Field(
        (7, 6),
        doc="access permissions",
        values={
            0b00: "privileged read/write, EL0 none",
            0b01: "privileged and EL0 read/write",
            0b10: "privileged read-only, EL0 none",
            0b11: "privileged and EL0 read-only",
        },
    )


class OneLevelLeaf(Stage1Leaf):
    """A stage 1 leaf of one privilege level: AP[1] is RES1, and nothing hangs on it."""

    XN = Field(54, doc="execute-never", values=NO_YES)
    DBM = Field(51, doc="dirty bit modifier", values=NO_YES)
    nG = Field(11, doc="RES0: one level has no ASIDs, and all is global")
    AP = Field(
        (7, 6), doc="access permissions", values={1: "read/write", 3: "read-only", 0: "read/write", 2: "read-only"}
    )


class RootLeaf(OneLevelLeaf):
    """A stage 1 leaf of EL3 under FEAT_RME."""

    NSE = Field(11, doc="with NS: the physical address space")
    nG = None  # type: ignore[assignment]


class NestedLeaf(Stage1Leaf):
    """A stage 1 leaf of a guest hypervisor (HCR_EL2.NV1): bit 54 is PXN, and AP[1] counts as 0."""

    PXN = Field(54, doc="privileged execute-never", values=NO_YES)
    DBM = Field(51, doc="dirty bit modifier", values=NO_YES)
    nG = Field(11, doc="not global", values={0: "global", 1: "this ASID only"})
    AP = Field(
        (7, 6), doc="access permissions", values={1: "read/write", 3: "read-only", 0: "read/write", 2: "read-only"}
    )


class IndirectLeaf(Stage1Leaf):
    """A stage 1 leaf whose permissions are an index into PIR_ELx and PIRE0_ELx."""

    PIIndex = Field(54, 53, 51, 6, doc="index of the base permission")
    nG = Field(11, doc="not global", values={0: "global", 1: "this ASID only"})
    nDirty = Field(7, doc="not dirty: a write has not been recorded", values=NO_YES)


class RootIndirectLeaf(IndirectLeaf):
    """A stage 1 leaf of EL3 under FEAT_RME whose permissions are an index."""

    NSE = RootLeaf.NSE
    nG = None  # type: ignore[assignment]


class Stage2Leaf(LeafDescriptor):
    """A stage 2 leaf."""

    XN = Field(
        (54, 53),
        doc="execute-never; bit 53 counts under FEAT_XNX",
        values={0: "EL1 and EL0 may", 1: "EL0 may", 2: "neither may", 3: "EL1 may"},
    )
    DBM = Field(51, doc="dirty bit modifier", values=NO_YES)
    FnXS = Field(11, doc="the XS attribute of stage 1 is taken as 0", values=NO_YES)
    S2AP = Field((7, 6), doc="access permissions", values={0: "none", 1: "read-only", 2: "write-only", 3: "read/write"})
    MemAttr = Field((5, 2), doc="memory attributes; HCR_EL2.FWB decides how they are read")


class Stage2IndirectLeaf(LeafDescriptor):
    """A stage 2 leaf whose permissions are an index into S2PIR_EL2."""

    PIIndex = Field(54, 53, 51, 6, doc="index of the base permission")
    FnXS = Field(11, doc="the XS attribute of stage 1 is taken as 0", values=NO_YES)
    Dirty = Field(7, doc="a write has been recorded", values=NO_YES)
    MemAttr = Field((5, 2), doc="memory attributes; HCR_EL2.FWB decides how they are read")


class RealmStage2Leaf(Stage2Leaf):
    """A stage 2 leaf of Realm state, which says whose memory it is (rule R_GYNXY)."""

    SOFTWARE = Field((58, 56), doc="free for software")
    NS = Field(55, doc="the output is Non-secure", values=NO_YES)


class RealmStage2IndirectLeaf(Stage2IndirectLeaf):
    """A stage 2 leaf of Realm state whose permissions are an index into S2PIR_EL2."""

    SOFTWARE = RealmStage2Leaf.SOFTWARE
    NS = RealmStage2Leaf.NS


_LEAVES: dict[EntryRole, type[LeafDescriptor]] = {
    EntryRole.TWO_LEVELS: TwoLevelLeaf,
    EntryRole.NESTED: NestedLeaf,
    EntryRole.ONE_LEVEL: OneLevelLeaf,
    EntryRole.ROOT: RootLeaf,
    EntryRole.INDIRECT: IndirectLeaf,
    EntryRole.ROOT_INDIRECT: RootIndirectLeaf,
    EntryRole.STAGE2: Stage2Leaf,
    EntryRole.STAGE2_INDIRECT: Stage2IndirectLeaf,
    EntryRole.STAGE2_REALM: RealmStage2Leaf,
    EntryRole.STAGE2_REALM_INDIRECT: RealmStage2IndirectLeaf,
}
# Under indirection the limits of tables do not count (TCR_ELx.HPDn is taken as 1), but they are where they were.
_TABLES: dict[EntryRole, type[TableDescriptor]] = {
    EntryRole.TWO_LEVELS: TwoLevelTable,
    EntryRole.NESTED: NestedTable,
    EntryRole.ONE_LEVEL: OneLevelTable,
    EntryRole.ROOT: OneLevelTable,
    EntryRole.INDIRECT: TwoLevelTable,
    EntryRole.ROOT_INDIRECT: TwoLevelTable,
    EntryRole.STAGE2: TableDescriptor,
    EntryRole.STAGE2_INDIRECT: TableDescriptor,
    EntryRole.STAGE2_REALM: TableDescriptor,
    EntryRole.STAGE2_REALM_INDIRECT: TableDescriptor,
}


@cache
def leaf_descriptor(
    size_bits: int,
    block: bool,
    role: EntryRole = EntryRole.TWO_LEVELS,
    layout: Layout = Layout.BITS_48,
    overlays: bool = False,
) -> type[LeafDescriptor]:
    """Return the class of a page or block of 2^size_bits bytes: they differ in where the output address ends.

    With `overlays`, bits [62:60] are an index into POR_ELx.
    """
    address = Field(*layout.segments(size_bits), doc="output address", scale=1 << size_bits)
    fields: dict[str, object] = {"OutputAddress": address}
    if block and size_bits > 16:
        fields["nT"] = Field(16, doc="no translation conflict: the TLB may not cache it (FEAT_BBM)", values=NO_YES)
    if layout is Layout.LPA2:
        fields["SH"] = None
    if overlays:
        fields |= {"POIndex": Field((62, 60), doc="index of the permission overlay"), "PBHA": Field(59, doc="PBHA[0]")}
    name = "BlockDescriptor" if block else "PageDescriptor"
    return type(name, (_LEAVES[role],), {"__doc__": f"A {name[:-10].lower()} of 2^{size_bits} bytes.", **fields})


@cache
def table_descriptor(
    granule_bits: int, role: EntryRole = EntryRole.TWO_LEVELS, layout: Layout = Layout.BITS_48
) -> type[TableDescriptor]:
    """Return the table descriptor class of a granule: a table is aligned to it."""
    address = Field(*layout.segments(granule_bits), doc="next-level table address", scale=1 << granule_bits)
    fields: dict[str, object] = {"NextTable": address}
    if layout is Layout.LPA2:
        fields["IGNORED_LOW"] = Field((11, 10), (7, 2), doc=TableDescriptor.IGNORED_LOW.doc)
    elif layout is Layout.LPA:
        fields["IGNORED_LOW"] = TableDescriptor.IGNORED_LOW
    base = _TABLES[role]
    return type("TableDescriptor", (base,), {"__doc__": base.__doc__, **fields})


def software_bit(bit: int) -> Field:
    """Return one of the four bits that hardware leaves to software (55 to 58) as a field of its own."""
    if not LeafDescriptor.SOFTWARE.mask >> bit & 1:
        raise ValueError(f"bit {bit} is not one of software's own, 55 to 58")
    return Field(bit, doc="software's own", name="SOFTWARE")
