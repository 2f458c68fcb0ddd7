"""The scan against tables that somebody else built: raw integers and shifts of their own, no Field of gdbtools.

What was mapped is kept leaf by leaf; `walk` has to find each of them and nothing beside them, and `scan` and
`mappings_of` have to say the same of the whole space.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import gdbtools.analysis.mappings as mappings_module
from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Access, AccessKind, Fault, FaultKind, Hole, Mapped, Read, Regime, Run
from gdbtools.arch.scan import scan, tables
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
PROPERTY = settings(max_examples=40, suppress_health_check=list(HealthCheck))
SMALL_PROPERTY = settings(PROPERTY, max_examples=20)

# A descriptor's bits.
VALID, TABLE, PAGE, BLOCK = 0b01, 0b11, 0b11, 0b01
AF = 1 << 10


@dataclass(frozen=True)
class Format:
    """How tables are laid out; `name` is how AArch64.regimes calls the regime."""

    granule: int = 12
    wide: str = ""
    """The layout of high output bits: none, "lpa" (64KB) or "lpa2" (4KB and 16KB)."""
    input_bits: int = 48
    output_bits: int = 48
    upper: bool = False
    big: bool = False
    start: int | None = None
    """Where stage 2 starts; None is stage 1."""

    @property
    def order(self) -> str:
        return "big" if self.big else "little"

    @property
    def levels(self) -> list[tuple[int, int, int]]:
        """(number, lowest bit, entries), root first."""
        found, low, number = [], self.granule, 3
        while low < self.input_bits:
            bits = min(self.granule - 3, self.input_bits - low)
            if number == self.start:
                bits = self.input_bits - low
            found.insert(0, (number, low, 1 << bits))
            low += bits
            number -= 1
        return found

    @property
    def leaf_levels(self) -> list[int]:
        blocks = {(12, ""): (1, 2), (12, "lpa2"): (0, 1, 2), (14, ""): (2,), (14, "lpa2"): (1, 2), (16, ""): (2,),
                  (16, "lpa"): (1, 2)}  # fmt: skip
        own = [number for number, _, _ in self.levels]
        return [number for number in (*blocks[self.granule, self.wide], 3) if number in own]

    @property
    def base(self) -> int:
        return (1 << 64) - (1 << self.input_bits) if self.upper else 0

    def low_of(self, level: int) -> int:
        return next(low for number, low, _ in self.levels if number == level)

    def size_of(self, level: int) -> int:
        return 1 << self.low_of(level)

    def placed(self, address: int) -> int:
        """Put an output address or a table's address where a descriptor has it."""
        if self.wide == "lpa":
            return address & (1 << 48) - 1 | address >> 48 << 12
        if self.wide == "lpa2":
            return address & (1 << 50) - 1 | address >> 50 << 8
        return address

    def ttbr(self, root: int) -> int:
        return root & (1 << 48) - 1 | root >> 48 << 2 if self.output_bits == 52 or self.wide == "lpa2" else root


@dataclass(repr=False)
class Memory:
    """Pages of bytes: what is in none of them cannot be read.  `reads` counts what was asked for."""

    pages: dict[int, bytearray] = field(default_factory=dict)
    reads: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, pa: int, size_bytes: int) -> None:
        for page in range(pa >> 12, pa + size_bytes + 4095 >> 12):
            self.pages.setdefault(page, bytearray(4096))

    def read(self, pa: int, size_bytes: int) -> bytes:
        self.reads[pa, size_bytes] += 1
        pages = range(pa >> 12, pa + size_bytes + 4095 >> 12)
        if any(page not in self.pages for page in pages):
            raise Unreadable(pa, size_bytes, "no such page here")
        data = b"".join(self.pages[page] for page in pages)
        return data[pa & 4095 : (pa & 4095) + size_bytes]

    def word(self, pa: int, order: str) -> int:
        return int.from_bytes(self.pages[pa >> 12][pa & 4095 : (pa & 4095) + 8], order)

    def put(self, pa: int, value: int, order: str) -> None:
        self.pages[pa >> 12][pa & 4095 : (pa & 4095) + 8] = value.to_bytes(8, order)

    def __repr__(self) -> str:
        return f"{len(self.pages)} pages"


@dataclass(frozen=True)
class Leaf:
    """One block or page as it was mapped: `bits` are its raw attributes, `above` what its tables impose."""

    first: int
    size: int
    output: int
    level: int
    bits: int
    above: int
    at: int

    @property
    def last(self) -> int:
        return self.first + self.size - 1


class Builder:
    """Writes tables into memory; `leaves` are what they map."""

    def __init__(self, layout: Format, root: int, pool: int, memory: Memory | None = None, junk: int = 0) -> None:
        self.layout = layout
        self.memory = Memory() if memory is None else memory
        self.root = root
        self.pool = pool
        self.leaves: dict[int, Leaf] = {}
        self.paths: dict[int, list[int]] = {}
        """Where the descriptors of each leaf are, root first."""
        self.entries: dict[tuple[int, int], tuple[str, int, int]] = {}
        """By (level, index over the whole space): what it is, where it leads, what it imposes."""
        size = layout.levels[0][2] * 8
        self.memory.add(root, size)
        if junk:
            # What lies behind a root that is smaller than its page is somebody else's.
            for at in range(root + size, root + 4096 & -4096, 8):
                self.memory.put(at, junk, layout.order)

    def map(self, va: int, output: int, level: int, bits: int = AF, above: int = 0) -> Leaf | None:
        """Map one leaf, with `above` in the table descriptors that are made for it; None where it does not fit."""
        layout, table, limits = self.layout, self.root, 0
        offset = va - layout.base
        if offset >> layout.input_bits or output % layout.size_of(level):
            return None
        way = []
        for number, low, _ in layout.levels:
            if number == level:
                break
            kind = self.entries.get((number, offset >> low))
            if kind is not None and kind[0] != "table":
                return None
            way.append((number, low))
        if (level, offset >> layout.low_of(level)) in self.entries:
            return None
        path = []
        for number, low in way:
            at = table + (offset >> low) % self._entries(number) * 8
            if (number, offset >> low) not in self.entries:
                child = self.pool
                self.pool += 1 << layout.granule
                self.memory.add(child, 1 << layout.granule)
                self.memory.put(at, layout.placed(child) | TABLE | above, layout.order)
                self.entries[number, offset >> low] = "table", child, above
            _, table, own = self.entries[number, offset >> low]
            limits |= own
            path.append(at)
        low = layout.low_of(level)
        at = table + (offset >> low) % self._entries(level) * 8
        self.memory.put(at, layout.placed(output) | (PAGE if level == 3 else BLOCK) | bits, layout.order)
        self.entries[level, offset >> low] = "leaf", output, bits
        leaf = Leaf(va, 1 << low, output, level, bits, limits, at)
        self.leaves[va] = leaf
        self.paths[va] = [*path, at]
        return leaf

    def holding(self, address: int) -> Leaf | None:
        """Return the leaf that an address is in."""
        for low in {low for _, low, _ in self.layout.levels}:
            leaf = self.leaves.get(address >> low << low)
            if leaf is not None and leaf.size == 1 << low:
                return leaf
        return None

    def _entries(self, level: int) -> int:
        return next(entries for number, _, entries in self.layout.levels if number == level)

    def deepest(self, va: int) -> int:
        """Return the level of the last table on the way to an address."""
        found = self.layout.levels[0][0]
        for number, low, _ in self.layout.levels:
            if self.entries.get((number, va - self.layout.base >> low), ("",))[0] != "table":
                return number
            found = number
        return found

    def in_order(self) -> list[Leaf]:
        return [self.leaves[va] for va in sorted(self.leaves)]

    def __repr__(self) -> str:
        leaves = "".join(
            f"\n    {leaf.first:#x}+{leaf.size:#x} -> {leaf.output:#x} {leaf.bits:#x} under {leaf.above:#x}"
            for leaf in self.in_order()[:20]
        )
        return f"{self.layout}, root {self.root:#x}:{leaves}"

    @property
    def table_addresses(self) -> set[int]:
        return {self.root} | {child for kind, child, _ in self.entries.values() if kind == "table"}


# ID_AA64MMFR0_EL1: PARange [3:0], TGran16 [23:20] = 52 bits, TGran4 [31:28] = 52 bits; MMFR2: VARange [19:16].
FEATURES = {"ID_AA64MMFR0_EL1": 6 | 2 << 20 | 1 << 28, "ID_AA64MMFR1_EL1": 2 | 1 << 12 | 1 << 28,
            "ID_AA64MMFR2_EL1": 1 << 16 | 1 << 28, "ID_AA64MMFR3_EL1": 0, "HCR_EL2": 0, "cpsr": 5}  # fmt: skip
PS = {32: 0, 36: 1, 40: 2, 42: 3, 44: 4, 48: 5, 52: 6}
WRITE_BACK, DEVICE, NON_CACHEABLE = 0, 1, 2
MAIR = 0xFF | 0x04 << 8 | 0x44 << 16
MEMORY = {0: "Normal Write-Back RW-allocate", 1: "Device-nGnRE", 2: "Normal Non-cacheable"}


def stage1_registers(layout: Format, root: int, **changes: int) -> dict[str, int]:
    tg0, tg1 = {12: (0, 2), 14: (2, 1), 16: (1, 3)}[layout.granule]
    size = 64 - layout.input_bits
    tcr = size | size << 16 | tg0 << 14 | tg1 << 30 | PS[layout.output_bits] << 32 | 3 << 12 | 3 << 28
    tcr |= 1 << 59 if layout.wide == "lpa2" else 0
    # For 64KB it is the PE that decides the layout: PARange.
    wide = 6 if layout.granule != 16 or layout.wide else 5
    return {
        **FEATURES,
        "ID_AA64MMFR0_EL1": FEATURES["ID_AA64MMFR0_EL1"] & ~0xF | wide,
        "SCTLR_EL1": 1 | 1 << 2 | 1 << 12 | layout.big << 25,
        "TCR_EL1": tcr,
        "TTBR0_EL1": layout.ttbr(root),
        "TTBR1_EL1": layout.ttbr(root),
        "MAIR_EL1": MAIR,
        **changes,
    }


def stage1(builder: Builder, **changes: int) -> Regime:
    registers = stage1_registers(builder.layout, builder.root, **changes)
    return ARM.regime_for(reader(registers), builder.layout.base, "el1")


def stage2_registers(layout: Format, root: int, **changes: int) -> dict[str, int]:
    tg0 = {12: 0, 14: 2, 16: 1}[layout.granule]
    sl0 = {12: {2: 0, 1: 1, 0: 2, 3: 3}, 14: {3: 0, 2: 1, 1: 2}, 16: {3: 0, 2: 1, 1: 2}}[layout.granule][layout.start]
    vtcr = 64 - layout.input_bits | sl0 << 6 | 3 << 12 | tg0 << 14 | PS[layout.output_bits] << 16 | 1 << 31
    return {
        **FEATURES,
        "ID_AA64MMFR0_EL1": 5 | 1 << 20,
        "HCR_EL2": 1,
        "VTCR_EL2": vtcr,
        "VTTBR_EL2": layout.ttbr(root),
        "SCTLR_EL2": layout.big << 25,
        **changes,
    }


def rights_of(bits: int, above: int) -> dict[int, str]:
    """The manual's table of AP, UXN and PXN with the tables' limits, written down once more."""
    ap, uxn, pxn = bits >> 6 & 3, bits >> 54 & 1, bits >> 53 & 1
    no_user, no_write = above >> 61 & 1, above >> 62 & 1
    uxn |= above >> 60 & 1
    pxn |= above >> 59 & 1
    write = not (ap & 2 or no_write)
    user = bool(ap & 1) and not no_user
    el0 = ("r" if user else "-") + ("w" if user and write else "-") + ("-" if uxn else "x")
    el1 = "r" + ("w" if write else "-") + ("-" if pxn or (user and write) else "x")
    return {0: el0, 1: el1}


def claim(run: Run) -> tuple[object, ...]:
    """What a run says of each of its leaves, but for the address and where it leads."""
    own = run.attributes
    rights = {el: str(each) for el, each in own.rights.items()}
    state = own.accessed, own.dirty, own.is_global, own.contiguous, own.guarded
    return run.leaf_bytes, run.kind.level, run.fault, rights, own.memory, own.shareability, state


def expected_claim(layout: Format, leaf: Leaf) -> tuple[object, ...]:
    bits = leaf.bits
    fault = None
    if leaf.output >> layout.output_bits:
        fault = Fault(FaultKind.ADDRESS_SIZE, 1, leaf.level)
    elif not bits & AF:
        fault = Fault(FaultKind.ACCESS_FLAG, 1, leaf.level)
    index = bits >> 2 & 7
    sh = 3 if layout.wide == "lpa2" else bits >> 8 & 3
    shareability = {0: "Non-shareable", 2: "Outer Shareable", 3: "Inner Shareable"}[sh if index == WRITE_BACK else 2]
    dirty = not bits >> 7 & 1 if bits >> 51 & 1 else None
    # "The Contiguous bit": the levels that a wide output address adds have no runs.
    contiguous = bool(bits >> 52 & 1) and leaf.level >= {12: 1, 14: 2, 16: 2}[layout.granule]
    state = bool(bits & AF), dirty, not bits >> 11 & 1, contiguous, bool(bits >> 50 & 1)
    return leaf.size, leaf.level, fault, rights_of(bits, leaf.above), MEMORY[index], shareability, state


def leaves_of(found: Iterable[Run | Hole]) -> list[tuple[int, int, tuple[object, ...]]]:
    """Expand runs leaf by leaf: where, to where, and what is said of it."""
    expanded = []
    for run in found:
        assert isinstance(run, Run), run
        assert run.output is not None
        assert run.size_bytes % run.leaf_bytes == 0
        assert run.stride_bytes in (0, run.leaf_bytes)
        said = claim(run)
        for offset in range(0, run.size_bytes, run.leaf_bytes):
            expanded.append((run.first + offset, run.output + run.offset_of(run.first + offset), said))
    return expanded


def joinable(one: Run, other: Run) -> bool:
    """Return whether two neighbours could be one run: of one kind, and one ramp or one repetition."""
    if claim(one) != claim(other) or one.last + 1 != other.first or None in (one.output, other.output):
        return False
    if one.ipa is not None and other.ipa is not None and one.ipa + one.size_bytes != other.ipa:
        return False
    single = [each.size_bytes == each.leaf_bytes for each in (one, other)]
    ramp = all(each.stride_bytes or alone for each, alone in zip((one, other), single, strict=True))
    flat = all(not each.stride_bytes or alone for each, alone in zip((one, other), single, strict=True))
    assert one.output is not None
    if ramp and one.output + one.size_bytes == other.output:
        return True
    return flat and one.ipa is None and one.output == other.output


def check_order_and_maximality(found: list[Run | Hole]) -> None:
    for before, after in pairwise(found):
        assert before.first + before.size_bytes <= after.first, (before, after)
        if isinstance(before, Run) and isinstance(after, Run):
            assert not joinable(before, after), (before, after)


# --- Random formats and mappings


INPUTS = {(12, ""): (25, 30, 32, 39, 40, 48), (12, "lpa2"): (30, 39, 48, 49, 52), (14, ""): (26, 36, 37, 47, 48),
          (14, "lpa2"): (36, 47, 48, 52), (16, ""): (29, 30, 42, 43, 48), (16, "lpa"): (42, 48, 52)}  # fmt: skip


@st.composite
def formats(draw: st.DrawFn) -> Format:
    granule, wide = draw(st.sampled_from(sorted(INPUTS)))
    outputs = (52, 48, 40) if wide else (48, 44, 40, 36)
    return Format(granule, wide, draw(st.sampled_from(INPUTS[granule, wide])), draw(st.sampled_from(outputs)),
                  draw(st.booleans()), draw(st.booleans()))  # fmt: skip


# AttrIndx, AP, AF, nG, DBM, Contiguous, PXN, UXN, GP, SH, and bits that are software's own and make no difference.
ATTRIBUTES = (
    AF,
    AF | 3 << 53,
    AF | 3 << 6 | 1 << 53,
    AF | 1 << 6 | 1 << 11 | 1 << 54,
    AF | 2 << 6 | 1 << 51,
    AF | 1 << 55 | 1 << 58,
    AF | 1 << 2 | 3 << 53,
    AF | 2 << 2,
    AF | 1 << 50 | 2 << 6,
    AF | 1 << 52,
    0,
    1 << 51 | 1 << 6,
    AF | 3 << 8,
    AF | 2 << 8,
)
LIMITS = (0, 0, 0, 1 << 59, 1 << 60, 1 << 61, 1 << 62, 3 << 59, 1 << 63)


@st.composite
def segments(draw: st.DrawFn, layout: Format) -> list[tuple[int, int, int, int, int, int]]:
    """Pieces of mapping as (place, level, leaves, output choice, attributes, limits); `filled` interprets them."""
    return draw(
        st.lists(
            st.tuples(
                st.integers(0, 9),
                st.sampled_from(layout.leaf_levels),
                st.sampled_from((1, 2, 3, 17, 40, 600)) if layout.granule == 12 else st.sampled_from((1, 2, 33)),
                st.integers(0, 7),
                st.sampled_from(ATTRIBUTES),
                st.sampled_from(LIMITS),
            ),
            min_size=1,
            max_size=6,
        )
    )


def clean(layout: Format, bits: int) -> int:
    """Leave SH out where the address is."""
    return bits & ~(3 << 8) if layout.wide == "lpa2" else bits


def filled(builder: Builder, drawn: list[tuple[int, int, int, int, int, int]], output: int = 0x8000_0000) -> Builder:
    layout = builder.layout
    end = layout.base + (1 << layout.input_bits)
    at = layout.base
    limit = min(1 << layout.output_bits, 1 << 48 if not layout.wide else 1 << 52)
    most = 1 << (52 if layout.wide else 48)
    for place, level, count, choice, bits, above in drawn:
        size = layout.size_of(level)
        # Where the last ended; the start, the middle, the end of the space; before a boundary of tables.
        boundary = 1 << min(layout.low_of(level) + layout.granule - 3, layout.input_bits - 1)
        middle = 1 << layout.input_bits - 1
        starts = {6: layout.base, 7: layout.base + middle - 3 * size, 8: end - count * size,
                  9: layout.base + boundary - size}  # fmt: skip
        at = max(starts.get(place, at), layout.base) + size - 1 & -size
        # Where the last went on; the same place again; the last addresses that there are; elsewhere; down, not up.
        outputs = {4: output - size, 5: limit - 2 * size, 6: 0x1234_0000_0000, 7: most - 2 * size}
        output = outputs.get(choice, output) + size - 1 & -size
        step = {3: 0, 4: -size}.get(choice, size)
        for _ in range(count):
            if 0 <= output < most and at < end:
                builder.map(at, output, level, clean(layout, bits), above)
            at += size
            output += step
        output = output if step else output + size
    return builder


@st.composite
def built(draw: st.DrawFn) -> Builder:
    layout = draw(formats())
    root_bytes = max(64, layout.levels[0][2] * 8)
    high = layout.output_bits == 52 and draw(st.booleans())
    place = (1 << 50 if high else 0) + 0x4000_0000
    root = place + root_bytes if root_bytes < 4096 and draw(st.booleans()) else place
    builder = Builder(layout, root, place + (1 << 20), junk=draw(st.sampled_from((0, 0x4000_0403))))
    return filled(builder, draw(segments(layout)))


def neighbours(builder: Builder) -> Iterator[int]:
    """Yield addresses beside what is mapped that are not."""
    layout, ordered = builder.layout, builder.in_order()
    last = layout.base + (1 << layout.input_bits) - 1
    for before, after in pairwise(ordered):
        if before.last + 1 != after.first:
            yield before.last + 1
            yield after.first - 1
    if ordered:
        yield from (at for at in (ordered[0].first - 1, ordered[-1].last + 1) if layout.base <= at <= last)


@PROPERTY
@given(built())
def test_walk_finds_every_mapped_leaf_and_nothing_beside_it(builder: Builder) -> None:
    regime = stage1(builder)
    assert (regime.levels[0].number, regime.root) == (builder.layout.levels[0][0], builder.root)
    for leaf in builder.in_order()[:60]:
        fault = expected_claim(builder.layout, leaf)[2]
        for offset in (0, leaf.size // 2 + 5, leaf.size - 1):
            found = walk(regime, leaf.first + offset, builder.memory.read)
            assert found.destination == Mapped(leaf.output + offset, leaf.size)
            assert found.outcome == (fault or found.destination)
            assert found.steps[-1].pa == leaf.at
    for address in islice(neighbours(builder), 40):
        found = walk(regime, address, builder.memory.read)
        assert found.outcome == Fault(FaultKind.TRANSLATION, 1, builder.deepest(address))
        assert found.destination is None


@PROPERTY
@given(built())
def test_scan_gives_exactly_what_is_mapped_as_maximal_runs_in_order(builder: Builder) -> None:
    regime = stage1(builder)
    found = list(scan(regime, builder.memory.read))
    assert found == list(mappings_of(regime, builder.memory.read))
    assert leaves_of(found) == [
        (leaf.first, leaf.output, expected_claim(builder.layout, leaf)) for leaf in builder.in_order()
    ]
    check_order_and_maximality(found)
    at = {leaf.first: leaf.at for leaf in builder.in_order()}
    assert all(isinstance(run, Run) and run.descriptor_pa == at[run.first] for run in found)


@SMALL_PROPERTY
@given(built())
def test_every_table_is_read_once_and_given_once(builder: Builder) -> None:
    regime = stage1(builder)
    list(scan(regime, builder.memory.read))
    assert set(builder.memory.reads.values()) == {1}
    assert {pa for pa, _ in builder.memory.reads} == builder.table_addresses
    given_out = list(tables(regime, builder.memory.read))
    assert sorted(pa for pa in given_out if pa is not None) == sorted(builder.table_addresses)
    assert None not in given_out


# --- One bit flipped


@PROPERTY
@given(built(), st.data())
def test_one_bit_of_one_leaf_gives_the_fault_that_it_predicts(builder: Builder, data: st.DataObject) -> None:
    layout, order = builder.layout, builder.layout.order
    leaf = data.draw(st.sampled_from(builder.in_order()))
    assume(not leaf.output >> layout.output_bits)
    too_large = [bit for bit in range(layout.output_bits, 52 if layout.wide else 48) if 1 << bit >= leaf.size]
    what = data.draw(st.sampled_from(["valid", "type", "af", *(["output"] if too_large else [])]))
    raw = builder.memory.word(leaf.at, order)
    if what == "valid":
        raw, fault = raw & ~1, Fault(FaultKind.TRANSLATION, 1, leaf.level)
    elif what == "type":
        assume(leaf.level == 3)
        raw, fault = raw & ~2, Fault(FaultKind.TRANSLATION, 1, leaf.level)
    elif what == "af":
        raw, fault = raw & ~AF, Fault(FaultKind.ACCESS_FLAG, 1, leaf.level)
    else:
        bit = data.draw(st.sampled_from(too_large))
        raw, fault = raw | layout.placed(1 << bit), Fault(FaultKind.ADDRESS_SIZE, 1, leaf.level)
        builder.leaves[leaf.first] = replace(leaf, output=leaf.output | 1 << bit)
    builder.memory.put(leaf.at, raw, order)
    regime = stage1(builder)
    assert walk(regime, leaf.first, builder.memory.read).outcome == fault
    found = list(scan(regime, builder.memory.read))
    here = [run for run in found if isinstance(run, Run) and run.first <= leaf.first <= run.last]
    if fault.kind is FaultKind.TRANSLATION:
        assert not here
        del builder.leaves[leaf.first]
    else:
        assert [run.fault for run in here] == [fault]
        if what == "af":
            builder.leaves[leaf.first] = replace(leaf, bits=leaf.bits & ~AF)
    # And nothing else has changed.
    assert leaves_of(found) == [(each.first, each.output, expected_claim(layout, each)) for each in builder.in_order()]
    check_order_and_maximality(found)


@SMALL_PROPERTY
@given(built(), st.data())
def test_an_invalid_table_entry_takes_all_below_it_away_and_is_where_the_fault_is(
    builder: Builder, data: st.DataObject
) -> None:
    layout = builder.layout
    entries = [key for key, (kind, _, _) in builder.entries.items() if kind == "table"]
    assume(entries)
    level, index = data.draw(st.sampled_from(sorted(entries)))
    first = layout.base + (index << layout.low_of(level))
    regime = stage1(builder)
    step = next(s for s in walk(regime, first, builder.memory.read).steps if s.level.number == level)
    builder.memory.put(step.pa, builder.memory.word(step.pa, layout.order) & ~1, layout.order)
    below = [leaf for leaf in builder.in_order() if first <= leaf.first < first + layout.size_of(level)]
    assert below
    for leaf in below[:20]:
        outcome = walk(regime, leaf.first, builder.memory.read).outcome
        assert outcome == Fault(FaultKind.TRANSLATION, 1, level)
        del builder.leaves[leaf.first]
    for leaf in below[20:]:
        del builder.leaves[leaf.first]
    assert leaves_of(scan(regime, builder.memory.read)) == [
        (each.first, each.output, expected_claim(layout, each)) for each in builder.in_order()
    ]


@SMALL_PROPERTY
@given(built(), st.data())
def test_a_table_beyond_the_output_size_is_an_address_size_fault_at_its_own_level(
    builder: Builder, data: st.DataObject
) -> None:
    layout = builder.layout
    entries = [key for key, (kind, _, _) in builder.entries.items() if kind == "table"]
    too_large = list(range(layout.output_bits, 52 if layout.wide else 48))
    assume(entries and too_large)
    level, index = data.draw(st.sampled_from(sorted(entries)))
    first = layout.base + (index << layout.low_of(level))
    regime = stage1(builder)
    step = next(s for s in walk(regime, first, builder.memory.read).steps if s.level.number == level)
    raw = builder.memory.word(step.pa, layout.order) | layout.placed(1 << data.draw(st.sampled_from(too_large)))
    builder.memory.put(step.pa, raw, layout.order)
    assert walk(regime, first, builder.memory.read).outcome == Fault(FaultKind.ADDRESS_SIZE, 1, level)
    found = [run for run in scan(regime, builder.memory.read) if first <= run.first < first + layout.size_of(level)]
    assert found == [], "nothing below it is mapped, and nothing is read from there"


# --- Anything at all: the scan against the walk


WORDS = st.one_of(
    st.sampled_from((0, 0b01, 0b10, 0b11, AF | 0b01, AF | 0b11, (1 << 64) - 1, (1 << 48) - 4096 | AF | 0b11)),
    st.integers(0, (1 << 64) - 1),
    st.tuples(st.integers(0, (1 << 36) - 1), st.sampled_from((AF | 0b11, AF | 0b01, 0b11, 0b01))).map(
        lambda drawn: drawn[0] << 12 | drawn[1]
    ),
)


RAMPS = st.lists(
    st.tuples(st.integers(0, 511), WORDS, st.sampled_from((1, 2, 5)), st.sampled_from((0, 1, 2))), max_size=8
)
SHALLOW = Format(12, "", 30), Format(12, "lpa2", 30, 52), Format(16, "lpa", 42, 52), Format(14, "", 36, 40)


@PROPERTY
@given(st.sampled_from(SHALLOW), RAMPS, RAMPS)
def test_whatever_the_tables_hold_the_scan_says_what_the_walk_says(
    layout: Format, upper: list[tuple[int, int, int, int]], lower: list[tuple[int, int, int, int]]
) -> None:
    """Runs of descriptors that carry out of the address field, reserved bits, blocks where none may be."""
    memory = Memory()
    root, child = 0x4000_0000, 0x4001_0000
    memory.add(root, 1 << layout.granule)
    memory.add(child, 1 << layout.granule)
    asked = {0}
    for table, low, words in ((root, layout.levels[-2][1], upper), (child, layout.granule, lower)):
        for index, word, count, step in words:
            for number in range(count):
                value = word + number * (step << low) & (1 << 64) - 1
                memory.put(table + (index + number) % 512 * 8, value, "little")
                asked.add((index + number) % 512 << low)
    memory.put(root, layout.placed(child) | TABLE, "little")
    registers = stage1_registers(layout, root)
    regime = ARM.regime_for(reader(registers), 0, "el1")
    found = list(scan(regime, memory.read))
    check_order_and_maximality(found)
    for address in sorted(asked):
        here = [each for each in found if each.first <= address < each.first + each.size_bytes]
        try:
            walked = walk(regime, address, memory.read)
        except Unreadable:
            assert [type(each) for each in here] == [Hole]
            continue
        if walked.leaf is None:
            assert here == []
            continue
        [run] = here
        assert isinstance(run, Run)
        assert run.output is not None
        outcome = walked.outcome
        assert run.fault == (outcome if isinstance(outcome, Fault) else None)
        assert walked.destination == Mapped(run.output + run.offset_of(address), run.leaf_bytes)
        assert run.attributes == walked.attributes


# --- Tables that are met again


def test_a_table_that_thousands_of_entries_share_is_read_once_and_is_one_run() -> None:
    """As KASAN maps its shadow: one page, by one level 3 table, by one level 2 table, by one level 1 table."""
    memory = Memory()
    root, one, two, three, page = (0x4000_0000 + 0x1000 * n for n in range(5))
    memory.add(root, 4 * 4096)
    for table, value in ((one, two | TABLE), (two, three | TABLE), (three, page | PAGE | AF)):
        for index in range(512):
            memory.put(table + index * 8, value, "little")
    for index in range(512):
        memory.put(root + index * 8, one | TABLE, "little")
    regime = ARM.regime_for(reader(stage1_registers(Format(), root)), 0, "el1")
    [run] = list(scan(regime, memory.read))
    assert isinstance(run, Run)
    assert (run.first, run.size_bytes, run.output, run.leaf_bytes, run.stride_bytes) == (0, 1 << 48, page, 4096, 0)
    assert run.offset_of((1 << 48) - 1) == 4095
    assert dict(memory.reads) == {(table, 4096): 1 for table in (root, one, two, three)}
    assert sorted(filter(None, tables(regime, memory.read))) == [root, one, two, three]


def test_a_shared_table_of_many_runs_is_given_each_time_at_its_own_address() -> None:
    memory = Memory()
    root, child = 0x4000_0000, 0x4000_1000
    memory.add(root, 2 * 4096)
    for index in range(512):
        memory.put(root + index * 8, child | TABLE, "little")
        # No two neighbours follow one another: 512 runs, more than the scan keeps.
        memory.put(child + index * 8, 0x8000_0000 - index * 0x1000 | PAGE | AF, "little")
    regime = ARM.regime_for(reader(stage1_registers(Format(input_bits=30), root)), 0, "el1")
    found = list(scan(regime, memory.read))
    assert [each.first for each in found] == list(range(0, 1 << 30, 4096))
    assert all(isinstance(run, Run) and run.output == 0x8000_0000 - (run.first & 0x1F_F000) for run in found)
    assert set(memory.reads.values()) == {1}


def test_a_shared_table_under_other_limits_grants_something_else() -> None:
    memory = Memory()
    root, child = 0x4000_0000, 0x4000_1000
    memory.add(root, 2 * 4096)
    for index, limits in enumerate((0, 1 << 59, 1 << 62, 0)):
        memory.put(root + index * 8, child | TABLE | limits, "little")
    memory.put(child, 0x8000_0000 | PAGE | AF, "little")
    regime = ARM.regime_for(reader(stage1_registers(Format(input_bits=30), root)), 0, "el1")
    found = list(scan(regime, memory.read))
    rights = [str(run.attributes.rights[1]) for run in found if isinstance(run, Run)]
    assert rights == ["rwx", "rw-", "r-x", "rwx"]


@pytest.mark.parametrize("big", [False, True])
def test_an_unreadable_table_that_is_shared_is_a_hole_at_each_place(big: bool) -> None:
    layout, memory = Format(input_bits=39, big=big), Memory()
    root, missing = 0x4000_0000, 0x7000_0000
    memory.add(root, 4096)
    for index in (0, 5, 511):
        memory.put(root + index * 8, missing | TABLE, layout.order)
    regime = ARM.regime_for(reader(stage1_registers(layout, root)), 0, "el1")
    found = list(scan(regime, memory.read))
    assert [(type(each), each.first, each.size_bytes) for each in found] == [
        (Hole, index << 30, 1 << 30) for index in (0, 5, 511)
    ]
    assert memory.reads[missing, 4096] == 1
    assert list(tables(regime, memory.read)).count(None) == 1


@pytest.mark.parametrize("layout", [Format(), Format(14, "", 47), Format(16), Format(12, "lpa2", 52, 52)])
def test_a_table_whose_every_entry_leads_to_itself_is_one_run_for_one_reading_a_level(layout: Format) -> None:
    """At the last level the entries are pages, each of them the table itself."""
    memory, root = Memory(), 0x4000_0000
    memory.add(root, 1 << layout.granule)
    for index in range(1 << layout.granule - 3):
        memory.put(root + index * 8, layout.placed(root) | TABLE | AF, layout.order)
    regime = ARM.regime_for(reader(stage1_registers(layout, root)), 0, "el1")
    found = list(islice(scan(regime, memory.read), 3))
    assert [(run.first, run.size_bytes) for run in found] == [(0, 1 << layout.input_bits)]
    assert all(isinstance(run, Run) and (run.output, run.stride_bytes) == (root, 0) for run in found)
    assert sum(memory.reads.values()) == len(layout.levels)
    assert list(islice(tables(regime, memory.read), 10)) == [root] * len(layout.levels)


def test_a_table_that_leads_to_itself_with_no_two_leaves_alike_ends_by_being_asked_no_further() -> None:
    """2^36 runs: each is given when it is asked for, and the table is kept once for each level."""
    memory, root = Memory(), 0x4000_0000
    memory.add(root, 4096)
    for index in range(512):
        # UXN and PXN are nothing in a table descriptor: what is below differs from leaf to leaf only.
        memory.put(root + index * 8, root | TABLE | AF | (index & 1) << 54, "little")
    regime = ARM.regime_for(reader(stage1_registers(Format(), root)), 0, "el1")
    found = list(islice(scan(regime, memory.read), 3000))
    assert [run.first for run in found] == list(range(0, 3000 * 4096, 4096))
    assert [str(run.attributes.rights[0]) for run in found[:2] if isinstance(run, Run)] == ["--x", "---"]
    assert sum(memory.reads.values()) == 4


@SMALL_PROPERTY
@given(built(), st.data())
def test_a_table_that_cannot_be_read_is_a_hole_as_large_as_what_it_would_have_mapped(
    builder: Builder, data: st.DataObject
) -> None:
    layout = builder.layout
    entries = sorted(key for key, (kind, _, _) in builder.entries.items() if kind == "table")
    assume(entries)
    level, index = data.draw(st.sampled_from(entries))
    table = builder.entries[level, index][1]
    first, size = layout.base + (index << layout.low_of(level)), layout.size_of(level)
    for page in range(table >> 12, table + (1 << layout.granule) >> 12):
        del builder.memory.pages[page]
    regime = stage1(builder)
    found = list(scan(regime, builder.memory.read))
    holes = [each for each in found if isinstance(each, Hole)]
    assert [(hole.first, hole.size_bytes, hole.pa, hole.refusal) for hole in holes] == [(first, size, table, None)]
    assert leaves_of(each for each in found if isinstance(each, Run)) == [
        (leaf.first, leaf.output, expected_claim(layout, leaf))
        for leaf in builder.in_order()
        if not first <= leaf.first < first + size
    ]
    check_order_and_maximality(found)
    with pytest.raises(Unreadable):
        walk(regime, first, builder.memory.read)
    assert list(tables(regime, builder.memory.read)).count(None) == 1


def test_a_root_that_cannot_be_read_is_a_hole_as_large_as_the_range() -> None:
    for upper in (False, True):
        layout = Format(input_bits=39, upper=upper)
        regime = ARM.regime_for(reader(stage1_registers(layout, 0x4000_0000)), layout.base, "el1")
        [hole] = scan(regime, Memory().read)
        assert isinstance(hole, Hole)
        assert (hole.first, hole.size_bytes) == (layout.base, 1 << 39)


# --- Two stages


FIRSTS = (
    Format(12, "", 30, 40), Format(12, "", 39, 48), Format(14, "", 36, 40), Format(16, "", 42, 40),
    Format(16, "", 30, 36, big=True),
)  # fmt: skip
SECONDS = (
    Format(12, "", 32, 48, start=1), Format(12, "", 34, 44, start=2), Format(12, "", 33, 40, start=1),
    Format(14, "", 36, 48, start=2), Format(16, "", 36, 48, start=2), Format(16, "", 33, 44, start=3),
)  # fmt: skip
# Stage 2: MemAttr [5:2], S2AP [7:6], SH [9:8], AF [10], XN [54:53].
NORMAL = 0b1111 << 2 | 3 << 8
S2 = NORMAL | AF | 3 << 6
STAGE2_ATTRIBUTES = (S2, S2, NORMAL | AF | 1 << 6, S2 | 2 << 53, NORMAL | 3 << 6, NORMAL | AF, S2 | 1 << 53)
TABLES_AT, PHYSICAL, STAGE2_AT = 0x4000_0000, 0x1_0000_0000, 0x8_0000_0000


@dataclass
class Stages:
    """Two stages: `memory` is physical; `first` has what stage 1 maps, by intermediate addresses."""

    first: Builder
    second: Builder
    memory: Memory = field(repr=False)

    def regime(self, **changes: int) -> Regime:
        registers = stage1_registers(self.first.layout, self.first.root)
        registers |= stage2_registers(self.second.layout, self.second.root, **changes)
        return ARM.regime_for(reader(registers), self.first.layout.base, "el1")

    def fault_of(self, ipa: int) -> Fault | None:
        """Return what stage 2 has against an address, permissions apart."""
        leaf = self.second.holding(ipa)
        if ipa >> self.second.layout.input_bits:
            return Fault(FaultKind.TRANSLATION, 2, 0)
        if leaf is None:
            return Fault(FaultKind.TRANSLATION, 2, self.second.deepest(ipa))
        if leaf.output >> self.second.layout.output_bits:
            return Fault(FaultKind.ADDRESS_SIZE, 2, leaf.level)
        return None if leaf.bits & AF else Fault(FaultKind.ACCESS_FLAG, 2, leaf.level)

    def refuses_fetch(self, ipa: int) -> Fault | None:
        fault, leaf = self.fault_of(ipa), self.second.holding(ipa)
        if fault is None and leaf is not None and not leaf.bits >> 6 & 1:
            fault = Fault(FaultKind.PERMISSION, 2, leaf.level)
        return None if fault is None else replace(fault, s1ptw=True)

    def expected(self, va: int) -> Mapped | Fault | None:
        """Return the outcome of an address that stage 1 maps; a fault with S1PTW is of a fetch."""
        leaf = self.first.holding(va)
        assert leaf is not None
        for at in self.first.paths[leaf.first]:
            if refused := self.refuses_fetch(at):
                return refused
        fault = expected_claim(self.first.layout, leaf)[2]
        ipa = leaf.output + va - leaf.first
        fault = fault or self.fault_of(ipa)
        if fault is not None:
            assert isinstance(fault, Fault)
            return fault
        below = self.second.holding(ipa)
        assert below is not None
        return Mapped(below.output + ipa - below.first, min(leaf.size, below.size))

    def interesting(self) -> list[int]:
        """Return addresses at and around every boundary that either stage has."""
        unit = 1 << min(self.first.layout.granule, self.second.layout.granule)
        found = set()
        seconds = self.second.in_order()
        for leaf in self.first.in_order():
            end = leaf.output + leaf.size
            found |= {leaf.first, leaf.first + leaf.size // 2, leaf.last + 1 - unit}
            inside = [each for each in seconds if each.first < end and leaf.output <= each.last]
            for each in islice(inside, 30):
                for ipa in (each.first - unit, each.first, each.last + 1 - unit, each.last + 1):
                    if leaf.output <= ipa < end:
                        found.add(leaf.first + ipa - leaf.output)
        return sorted(found)


def stage2_rights(bits: int) -> dict[int, tuple[bool, bool, bool]]:
    """S2AP, and XN of FEAT_XNX: 0b00 both execute, 0b01 EL0 alone, 0b10 neither, 0b11 EL1 alone."""
    read, write, xn = bool(bits >> 6 & 1), bool(bits >> 7 & 1), bits >> 53 & 3
    return {0: (read, write, xn in (0, 1)), 1: (read, write, xn in (0, 3))}


@st.composite
def two_stages(draw: st.DrawFn) -> Stages:
    first_layout, second_layout = draw(st.sampled_from(FIRSTS)), draw(st.sampled_from(SECONDS))
    first = Builder(first_layout, TABLES_AT, TABLES_AT + (1 << 20))
    filled(first, draw(segments(first_layout)), output=0x8000_0000)
    second = Builder(second_layout, STAGE2_AT, STAGE2_AT + (1 << 20))
    # Where stage 1 keeps its tables: stage 2 scatters them, or has them in one block, or not at all.
    level = draw(st.sampled_from(second_layout.leaf_levels))
    size = second_layout.size_of(level)
    chunks = sorted({page << 12 & -size for page in first.memory.pages})
    bad = draw(st.lists(st.tuples(st.integers(0, 9), st.sampled_from((0, NORMAL | AF, NORMAL | 3 << 6))), max_size=2))
    withheld = {chunks[number % len(chunks)]: bits for number, bits in bad}
    for number, ipa in enumerate(chunks):
        bits = withheld.get(ipa, NORMAL | AF | 1 << 6)
        if bits:
            second.map(ipa, PHYSICAL + (len(chunks) - number) * 2 * size & -size, level, bits)
    # And what stage 1 leads to.
    outputs = sorted({leaf.output for leaf in first.leaves.values()})
    for number, level, count, choice, bits in draw(
        st.lists(
            st.tuples(st.integers(0, 1 << 12), st.sampled_from(second_layout.leaf_levels),
                      st.sampled_from((1, 2, 16, 70)), st.integers(0, 3), st.sampled_from(STAGE2_ATTRIBUTES)),
            max_size=6,
        )
    ):  # fmt: skip
        size = second_layout.size_of(level)
        ipa = outputs[number % len(outputs)] & -size
        pa = (0x2_0000_0000 if choice < 2 else 1 << 43) + (number & 3) * size & -size
        for each in range(count):
            second.map(ipa + each * size, pa + (each * size if choice % 2 == 0 else 0), level, bits)
    where = {}
    for page in first.memory.pages:
        leaf = second.holding(page << 12)
        if leaf is not None:
            where[page] = leaf.output + (page << 12) - leaf.first >> 12
    memory = second.memory
    memory.pages |= {where[page]: data for page, data in first.memory.pages.items() if page in where}
    # Two pages of tables never come to share one physical page.
    assume(len(set(where.values())) == len(where))
    return Stages(first, second, memory)


@PROPERTY
@given(two_stages())
def test_walk_goes_through_both_stages(stages: Stages) -> None:
    regime = stages.regime()
    for va in stages.interesting()[:80]:
        assert walk(regime, va, stages.memory.read).outcome == stages.expected(va), hex(va)


def found_at(stages: Stages) -> Iterator[tuple[int, Leaf, Mapped | Fault | None, Run | Hole]]:
    """Yield (address, stage 1's leaf, what is expected, what the mappings have there) at every boundary."""
    found = list(mappings_of(stages.regime(), stages.memory.read))
    for va in stages.interesting():
        leaf = stages.first.holding(va)
        assert leaf is not None
        here = [each for each in found if each.first <= va < each.first + each.size_bytes]
        assert len(here) == 1, (hex(va), here)
        yield va, leaf, stages.expected(va), here[0]


@PROPERTY
@given(two_stages())
def test_two_stages_lead_where_the_composition_leads(stages: Stages) -> None:
    for va, leaf, expected, run in found_at(stages):
        if isinstance(run, Hole) or (isinstance(expected, Fault) and expected.s1ptw):
            continue
        ipa = leaf.output + va - leaf.first
        below = stages.second.holding(ipa)
        # A run that repeats has one leaf at one place: it says nothing of those before and after it.
        assert run.ipa is not None
        assert run.ipa + run.offset_of(va) == ipa or not run.stride_bytes
        if below is None:
            assert run.output is None
            continue
        assert run.output is not None
        assert hex(run.output + run.offset_of(va)) == hex(below.output + ipa - below.first)
        if run.stride_bytes:
            assert run.leaf_bytes == min(leaf.size, below.size)


@PROPERTY
@given(two_stages())
def test_two_stages_grant_what_both_do(stages: Stages) -> None:
    for va, leaf, expected, run in found_at(stages):
        if isinstance(expected, Mapped):
            assert isinstance(run, Run)
            assert run.fault is None
            below = stages.second.holding(leaf.output + va - leaf.first)
            assert below is not None
            own, under = rights_of(leaf.bits, leaf.above), stage2_rights(below.bits)
            both = {
                el: "".join(letter if has else "-" for letter, has in zip(own[el], under[el], strict=True))
                for el in (0, 1)
            }
            assert {el: str(each) for el, each in run.attributes.rights.items()} == both


@pytest.mark.slow
@PROPERTY
@given(two_stages())
def test_two_stages_fault_as_the_walk_does(stages: Stages) -> None:
    for va, _, expected, run in found_at(stages):
        if isinstance(expected, Fault) and not expected.s1ptw:
            assert isinstance(run, Run), hex(va)
            assert run.fault == expected, hex(va)


@pytest.mark.slow
@PROPERTY
@given(two_stages())
def test_a_stage_1_table_that_stage_2_refuses_is_a_hole_with_the_refusal(stages: Stages) -> None:
    for va, _, expected, run in found_at(stages):
        fetched = not (isinstance(expected, Fault) and expected.s1ptw)
        assert isinstance(run, Run) == fetched, hex(va)
        if isinstance(run, Hole):
            assert run.refusal is not None
            assert run.refusal.fault == expected, hex(va)


@pytest.mark.slow
@PROPERTY
@given(two_stages())
def test_two_stages_map_what_stage_1_maps_and_no_more_in_order_and_whole(stages: Stages) -> None:
    found = list(mappings_of(stages.regime(), stages.memory.read))
    check_order_and_maximality(found)
    refused = {
        leaf.first
        for leaf in stages.first.in_order()
        if any(stages.refuses_fetch(at) for at in stages.first.paths[leaf.first])
    }
    visible = sum(leaf.size for leaf in stages.first.in_order() if leaf.first not in refused)
    assert sum(each.size_bytes for each in found if isinstance(each, Run)) == visible
    assert bool(refused) <= any(isinstance(each, Hole) for each in found)


@SMALL_PROPERTY
@given(two_stages())
def test_stage_2_by_itself_is_scanned_like_any_regime(stages: Stages) -> None:
    regime = stages.regime().below
    assert regime is not None
    found = list(scan(regime, stages.memory.read))
    check_order_and_maximality(found)
    assert [(first, output, said[:3]) for first, output, said in leaves_of(found)] == [
        (leaf.first, leaf.output, (leaf.size, leaf.level, stages.fault_of(leaf.first)))
        for leaf in stages.second.in_order()
    ]
    assert set(tables(regime, stages.memory.read)) == stages.second.table_addresses


@dataclass
class Two:
    """Two stages of 4KB and 39 or so bits, mapped by hand; `connect` gives the regime when everything is mapped."""

    first: Builder = field(default_factory=lambda: Builder(Format(12, "", 30, 40), TABLES_AT, TABLES_AT + 4096))
    second: Builder = field(
        default_factory=lambda: Builder(Format(12, "", 32, 48, start=1), STAGE2_AT, STAGE2_AT + 4096)
    )

    def connect(self, without: int | None = None, bits: int = S2, **changes: int) -> tuple[Regime, Memory]:
        """Lead stage 1's table pages to themselves, but for one of them, and give the regime."""
        for page in self.first.memory.pages:
            if page << 12 != without:
                self.second.map(page << 12, page << 12, 3, bits)
        memory = self.second.memory
        memory.pages |= self.first.memory.pages
        registers = stage1_registers(self.first.layout, self.first.root)
        registers |= stage2_registers(self.second.layout, self.second.root, **changes)
        return ARM.regime_for(reader(registers), 0, "el1"), memory


def agree_with_walk(regime: Regime, memory: Memory, addresses: Iterable[int]) -> None:
    """Ask the mappings and the walk about the same addresses."""
    found = list(mappings_of(regime, memory.read))
    for va in addresses:
        [run] = [each for each in found if each.first <= va < each.first + each.size_bytes]
        walked = walk(regime, va, memory.read)
        said: Mapped | Fault | None
        if isinstance(run, Hole):
            said = run.refusal.fault if run.refusal else None
        elif run.fault is not None:
            said = run.fault
        else:
            assert run.output is not None
            said = Mapped(run.output + run.offset_of(va), run.leaf_bytes)
        outcome = walked.outcome
        if isinstance(said, Mapped) and isinstance(outcome, Mapped):
            assert hex(said.address) == hex(outcome.address), hex(va)
        else:
            assert said == outcome, hex(va)


def test_what_stage_2_does_not_map_faults_at_each_pages_own_level() -> None:
    two = Two()
    for page in range(4):
        two.first.map(page << 12, 0x801F_E000 + (page << 12), 3, AF)
    # The level 3 table of 0x80000000 is there, that of 0x80200000 is not.
    two.second.map(0x8000_0000, 0x1_0000_0000, 3, S2)
    regime, memory = two.connect()
    agree_with_walk(regime, memory, range(0, 0x4000, 0x1000))


def test_pages_through_stage_2_blocks_that_repeat_lead_to_places_of_their_own() -> None:
    two = Two()
    for page in range(1024):
        two.first.map(page << 12, 0x8000_0000 + (page << 12), 3, AF)
    for block in range(2):
        two.second.map(0x8000_0000 + (block << 21), 0x1_0000_0000, 2, S2)
    regime, memory = two.connect()
    agree_with_walk(regime, memory, range(0, 1024 << 12, 0x1000))


def test_a_page_that_repeats_through_smaller_stage_2_pages_that_repeat() -> None:
    two = Two(first=Builder(Format(16, "", 30, 40), TABLES_AT, TABLES_AT + 65536))
    for page in range(4):
        two.first.map(page << 16, 0x8000_0000, 3, AF)
    for page in range(16):
        two.second.map(0x8000_0000 + (page << 12), 0x1_0000_0000, 3, S2)
    regime, memory = two.connect()
    agree_with_walk(regime, memory, range(0, 4 << 16, 0x1000))


def test_many_blocks_that_lead_to_few_stage_2_pages_are_all_mapped() -> None:
    two = Two()
    for block in range(512):
        two.first.map(block << 21, 0x8000_0000, 2, AF)
    for page in (0, 7):
        two.second.map(0x8000_0000 + (page << 12), 0x1_0000_0000 + (page << 12), 3, S2)
    regime, memory = two.connect()
    agree_with_walk(regime, memory, [(block << 21) + (page << 12) for block in (0, 1, 511) for page in (0, 1, 7, 8)])
    found = list(mappings_of(regime, memory.read))
    assert not [each for each in found if isinstance(each, Hole)]
    assert sum(each.size_bytes for each in found) == 512 << 21


def test_a_table_scattered_over_stage_2_pages_lacks_only_the_page_that_is_not_there() -> None:
    two = Two(first=Builder(Format(16, "", 42, 40), TABLES_AT, TABLES_AT + 65536))
    # Entries in each of the 16 pages of the 64KB table at level 3.
    for page in range(0, 8192, 512):
        two.first.map(page << 16, 0x8000_0000, 3, AF)
    two.second.map(0x8000_0000, 0x1_0000_0000, 2, S2)
    table = two.first.pool - 65536
    regime, memory = two.connect(without=table + 5 * 4096)
    agree_with_walk(regime, memory, range(0, 8192 << 16, 512 << 16))
    holes = [each for each in mappings_of(regime, memory.read) if isinstance(each, Hole)]
    assert [(hole.first, hole.size_bytes) for hole in holes] == [(5 * 512 << 16, 512 << 16)]


def test_what_hardware_has_yet_to_mark_as_accessed_is_mapped_and_refused_only_when_it_is() -> None:
    """TCR_EL1.HA, and stage 2 lets the walker read the tables and not write them: an access faults, with S1PTW."""
    two = Two()
    two.first.map(0, 0x8000_0000, 3, 0)
    two.second.map(0x8000_0000, 0x1_0000_0000, 3, S2)
    _, memory = two.connect(bits=NORMAL | AF | 1 << 6)
    registers = stage1_registers(two.first.layout, two.first.root)
    registers |= stage2_registers(two.second.layout, two.second.root)
    registers["TCR_EL1"] |= 1 << 39
    regime = ARM.regime_for(reader(registers), 0, "el1")
    agree_with_walk(regime, memory, [0])
    refused = ARM.check(walk(regime, 0, memory.read), Access(AccessKind.READ, 1), 5)
    assert refused is not None
    assert refused.fault == Fault(FaultKind.PERMISSION, 2, 3, s1ptw=True)


def test_a_stage_2_that_leads_to_itself_does_not_keep_stage_1_from_being_listed(monkeypatch) -> None:
    """2^27 runs of stage 2 for one page of stage 1: they are not all gone through, let alone kept."""

    def counted(regime: Regime, read: Read, *wanted: int) -> Iterator[Run | Hole]:
        for number, each in enumerate(scan(regime, read, *wanted)):
            assert number < 20_000, f"asked for more than {number} runs of {regime.name}"
            yield each

    monkeypatch.setattr(mappings_module, "scan", counted)
    first = Builder(Format(12, "", 30, 40), TABLES_AT, TABLES_AT + 4096)
    first.map(0, 0x4000_0000, 3, AF)
    memory = Memory()
    memory.add(STAGE2_AT, 4096)
    for index in range(512):
        # S2AP differs from page to page; in a table descriptor these bits are ignored.
        memory.put(STAGE2_AT + index * 8, STAGE2_AT | TABLE | NORMAL | AF | (1 + 2 * (index & 1)) << 6, "little")
    # Stage 1's tables, at whatever physical address stage 2 leads them all to: its own table's page.
    layout = Format(12, "", 39, 48, start=1)
    registers = stage1_registers(first.layout, 0x4000_0000) | stage2_registers(layout, STAGE2_AT)
    regime = ARM.regime_for(reader(registers), 0, "el1")
    found = list(islice(mappings_of(regime, memory.read), 3))
    assert len(found) == 3


def test_limits_that_are_disabled_make_no_difference_to_a_shared_table() -> None:
    """TCR_EL1.HPD0."""
    memory = Memory()
    root, child = 0x4000_0000, 0x4000_1000
    memory.add(root, 2 * 4096)
    for index, limits in enumerate((0, 1 << 59, 1 << 62, 0)):
        memory.put(root + index * 8, child | TABLE | limits, "little")
    memory.put(child, 0x8000_0000 | PAGE | AF, "little")
    registers = stage1_registers(Format(input_bits=30), root)
    registers["TCR_EL1"] |= 1 << 41
    found = list(scan(ARM.regime_for(reader(registers), 0, "el1"), memory.read))
    assert [str(run.attributes.rights[1]) for run in found if isinstance(run, Run)] == ["rwx"] * 4
    assert set(memory.reads.values()) == {1}
