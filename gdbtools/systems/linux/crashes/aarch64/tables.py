"""The tables that Linux prints on AArch64 when it dies: the pgtable line, and the entries on the way to the address.

    user pgtable: 4k pages, 48-bit VAs, pgdp=0000000048122000
    [0000000000000010] pgd=080000004812a003, p4d=080000004812a003, pud=080000004812b003, pmd=0000000000000000

Source: Linux, `show_pte` in `arch/arm64/mm/fault.c`, `arch/arm64/include/asm/pgtable.h`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.aarch64.registers.translation import SCTLR, TCR_EL1, TG0_GRANULE, TTBR, WIDE_BASE
from gdbtools.arch.aarch64.tables.geometry import (
    GRANULE_BITS,
    NARROW_BITS,
    WIDE_BITS,
    MINIMUM_TnSZ,
    levels_for,
)
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.model import Assumption, written_down
from gdbtools.systems.crash import CrashFacts, followed
from gdbtools.systems.linux.aarch64 import MAIR_SINCE, NORMAL_MAIR, OUTPUT_SIZE, TG1_OF_BYTES
from gdbtools.systems.linux.crashes.entries import LINES_OF_ENTRIES, behind_the_end, printed_entries, unfolded
from gdbtools.systems.linux.notes import release_of

LINES_OF_TABLES: Final = {
    "pgtable": re.compile(r"\b(swapper|user) pgtable: (\d{1,3})k pages, (\d{1,3})-bit VAs, pgdp( = |=)(\S+)"),
    **LINES_OF_ENTRIES,
}
_TG0_OF_BYTES: Final = {1 << GRANULE_BITS[name]: code for code, name in TG0_GRANULE.items()}
_SMALLEST_BITS: Final = 36
"""The narrowest addresses that Linux can be built for: 16 KiB pages, two levels."""
_TAG: Final = 0xFF << 56


@dataclass(frozen=True)
class PrintedTables:
    """What was printed of the tables: the registers of one range, and descriptors where they lie.

    `registers` and `entries` say whether each is there at all; `doubts` are what is against them.
    """

    registers: bool = False
    entries: bool = False
    values: Mapping[str, int] = field(default_factory=dict)
    assumed: tuple[Assumption, ...] = ()
    descriptors: Mapping[PA, int] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Range:
    """What the pgtable line says: whose root, where it is (None: that was hidden), and how it is laid out."""

    upper: bool
    page_bytes: int
    input_bits: int
    root: int | None

    @property
    def depth(self) -> int:
        return len(levels_for(self.page_bytes.bit_length() - 1, self.input_bits))


def printed(facts: CrashFacts, suffix: str, address: VA | None, others: Mapping[str, int]) -> PrintedTables:
    """Return what the lines of a crash say of the tables that lead to `address`.

    `suffix` is that of the registers of the level that took the exception, `others` what else is known of those.
    """
    entries = printed_entries(facts, address, _TAG)
    doubts: list[str] = []
    if entries is not None and address is not None and (entries.address ^ address) & ~_TAG:
        doubts.append(f"the entries are of {entries.address:#x}, and the fault is of {address:#x}")
    try:
        found = _range(facts)
    except ValueError as why:
        return PrintedTables(entries=entries is not None, doubts=(*doubts, str(why)))
    if found is None:
        return PrintedTables(entries=entries is not None, doubts=tuple(doubts))
    values, assumed = _registers(found, suffix, facts)
    if entries is None:
        return PrintedTables(True, False, values, assumed, {}, tuple(doubts))
    if bool(entries.address & regimes.BIT_55) is not found.upper:
        doubts.append(f"{entries.address:#x} is of the other half than the pgtable line")
        return PrintedTables(True, True, values, assumed, {}, tuple(doubts))
    try:
        descriptors = unfolded(entries.named, found.depth)
    except ValueError as why:
        return PrintedTables(True, True, values, assumed, {}, (*doubts, str(why)))
    name = "el2-vhe" if suffix == "EL2" else "el1"
    regime = regimes.regime_for(written_down({**others, **values}), entries.address, name)
    placed, left = followed(regime, entries.address, descriptors)
    doubts += behind_the_end(left)
    return PrintedTables(True, True, values, assumed, placed, tuple(doubts))


def _range(facts: CrashFacts) -> _Range | None:
    """Return what the pgtable line says, None where there is none; raises ValueError for what cannot be."""
    said = facts.first("pgtable")
    if said is None:
        return None
    page_bytes, input_bits = int(said[1]) << 10, int(said[2])
    if page_bytes not in _TG0_OF_BYTES or not (_SMALLEST_BITS <= input_bits <= NARROW_BITS or input_bits == WIDE_BITS):
        raise ValueError(f"{said[1]}k pages with {said[2]}-bit addresses are none of Linux's")
    # With blanks around it, it was printed by %p: the hash of a pointer.
    hidden = said[3] != "=" or not re.fullmatch(r"[0-9a-f]{8,16}", said[4])
    root = None if hidden else int(said[4], 16)
    if root is not None and _base(root, input_bits) is None:
        raise ValueError(f"pgdp={root:#x} is where no root can be")
    return _Range(said[0] == "swapper", page_bytes, input_bits, root)


def _base(root: int, input_bits: int) -> int | None:
    """Return a root as its register has it; None for what it cannot have."""
    try:
        return (WIDE_BASE if input_bits > NARROW_BITS else TTBR.BADDR).into(0, root)
    except ValueError:
        return None


def _registers(found: _Range, suffix: str, facts: CrashFacts) -> tuple[Mapping[str, int], tuple[Assumption, ...]]:
    """Return the registers of one range, and what each rests on; walks of the other are disabled."""
    half, other = int(found.upper), int(not found.upper)
    ttbr, tcr, sctlr, mair = f"TTBR{half}_{suffix}", f"TCR_{suffix}", f"SCTLR_{suffix}", f"MAIR_{suffix}"
    size, output_bits = 64 - found.input_bits, max(found.input_bits, NARROW_BITS)
    ds = size < MINIMUM_TnSZ and found.page_bytes < 1 << GRANULE_BITS["64KB"]
    control = TCR_EL1(0).with_(
        T0SZ=size, TG0=_TG0_OF_BYTES[found.page_bytes], T1SZ=size, TG1=TG1_OF_BYTES[found.page_bytes],
        IPS=OUTPUT_SIZE[output_bits], DS=ds, TBI0=1, EPD0=half, EPD1=other,
        SH0=0b11, SH1=0b11, IRGN0=1, IRGN1=1, ORGN0=1, ORGN1=1,
    )  # fmt: skip
    root = 0 if found.root is None else _base(found.root, found.input_bits) or 0
    values = {ttbr: root, tcr: int(control), sctlr: int(SCTLR(0).with_(M=1, C=1, I=1))}
    whose = "kernel's own" if found.upper else "process's"
    from_log = f"{ttbr}={root:#x}: by pgdp, the root of the {whose} tables that Linux looked at"
    hidden = f"{ttbr}=0: the log hides where the root is; no more rests on it than where its one descriptor lies"
    layout = f"T{half}SZ={size} and a granule of {found.page_bytes >> 10}KB by the pgtable line"
    habits = (
        f"DS={int(ds)}, IPS of {output_bits} bits, TBI0=1, HA=0, HD=0, walks Inner Shareable and Write-Back by habit"
    )
    assumed = [
        Assumption(ttbr, hidden if found.root is None else from_log),
        Assumption(tcr, f"{tcr}: {layout}; {habits}, EPD{other}=1 for want of the other root"),
        Assumption(sctlr, f"{sctlr}: M=1, C=1, WXN=0, EE=0"),
    ]
    release = facts.first("release")
    if release is not None and release_of(release[0]) >= MAIR_SINCE:
        values[mair] = int(NORMAL_MAIR)
        since = ".".join(map(str, MAIR_SINCE))
        assumed.append(Assumption(mair, f"{mair}={int(NORMAL_MAIR):#x}, as Linux sets it since {since}"))
    return values, tuple(assumed)
