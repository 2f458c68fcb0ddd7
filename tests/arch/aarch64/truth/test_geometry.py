"""How stage 1 cuts an address into levels, and which addresses it takes, reads and gives.

DDI 0487, "Translation granules", "Block descriptors", "Address size", "Address tagging", and of Arm's pseudocode for
Armv9.4 (rems-project/sail-arm) AArch64.S1MinTxSZ, MaxTxSZ, S1TxSZFaults, S1StartLevel, S1TTBaseAddress, LeafBase,
NextTableBase, BlockDescSupported, PhysicalAddressSize, OAOutOfRange, VAIsOutOfRange, AddrTop, S1Walk, S1Translate,
S1DisabledOutput.  Choices of the project where the manual leaves one: a TnSZ out of bounds faults at level 0 (and is
not taken as the nearest bound); a granule that is not there is the smallest one that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

from gdbtools.arch.model import Access, AccessKind, Fault, FaultKind, Mapped, Regime, Walk
from gdbtools.arch.walk import walk
from tests.arch.aarch64.truth.machine import AF, ARM, EL0T, EL1H, PAGE, TABLE, el1, el2, el2_vhe, el3, settle
from tests.tables import reader

BLOCK = 0b01
ALL_ONES = (1 << 64) - 1
GRANULES = (12, 14, 16)
NAMED = {12: "4KB", 14: "16KB", 16: "64KB"}
# TCR_ELx.TG0 [15:14] and TG1 [31:30]; VTCR_EL2.TG0 is as TG0.
TG0 = {12: 0b00, 14: 0b10, 16: 0b01}
TG1 = {12: 0b10, 14: 0b01, 16: 0b11}
# ID_AA64MMFR0_EL1.PARange [3:0]; TCR_ELx.{I}PS and VTCR_EL2.PS have the same code in three bits.
SIZES = (32, 36, 40, 42, 44, 48, 52, 56)
TRANSLATION_AT_0 = Fault(FaultKind.TRANSLATION, 1, 0)
ADDRESS_SIZE_AT_0 = Fault(FaultKind.ADDRESS_SIZE, 1, 0)

# The level where a walk starts, by how many bits of address it has: (from, to, level), for each granule.
START = {
    12: ((49, 52, -1), (40, 48, 0), (31, 39, 1), (22, 30, 2), (13, 21, 3)),
    14: ((48, 52, 0), (37, 47, 1), (26, 36, 2), (15, 25, 3)),
    16: ((43, 52, 1), (30, 42, 2), (17, 29, 3)),
}
# The lowest address bit that a level resolves.
LOW = {
    12: {-1: 48, 0: 39, 1: 30, 2: 21, 3: 12},
    14: {0: 47, 1: 36, 2: 25, 3: 14},
    16: {1: 42, 2: 29, 3: 16},
}


def mmfr0(pa: int = 6, lpa2: bool = True, t4: int | None = None, t16: int | None = None, t64: int = 0) -> int:
    """ID_AA64MMFR0_EL1: PARange [3:0], TGran16 [23:20], TGran64 [27:24], TGran4 [31:28]."""
    return pa | (1 + lpa2 if t16 is None else t16) << 20 | t64 << 24 | (int(lpa2) if t4 is None else t4) << 28


def mmfr2(st: bool = False, lva: bool = False, e0pd: bool = True) -> int:
    """ID_AA64MMFR2_EL1: VARange [19:16], ST [31:28], E0PD [63:60]."""
    return int(lva) << 16 | int(st) << 28 | int(e0pd) << 60


@dataclass(frozen=True)
class Half:
    """One range of a stage 1 regime, and where the registers have what concerns it."""

    name: str
    upper: bool = False

    @property
    def one(self) -> bool:
        """Whether the regime has one range, in the other layout of TCR_ELx."""
        return self.name in ("el2", "el3")

    @property
    def el(self) -> int:
        return {"el1": 1, "el3": 3}.get(self.name, 2)

    def tcr(self, size: int, granule: int, ps: int = 6, ds: bool = False, sh: int = 3, extra: int = 0) -> int:
        """TCR_ELx with the other half's fields as different as may be."""
        if self.one:
            # T0SZ [5:0], SH0 [13:12], TG0 [15:14], PS [18:16], RES1 [23] and [31], DS [32].
            return size | sh << 12 | TG0[granule] << 14 | ps << 16 | 1 << 23 | 1 << 31 | int(ds) << 32 | extra
        other = 14 if granule != 14 else 12
        low, high = ((20, size), (other, granule)) if self.upper else ((size, 20), (granule, other))
        (low, high), (low_granule, high_granule) = low, high
        # T0SZ [5:0], SH0 [13:12], TG0 [15:14], T1SZ [21:16], SH1 [29:28], TG1 [31:30], IPS [34:32], DS [59].
        sizes = low | high << 16 | sh << (28 if self.upper else 12)
        return sizes | TG0[low_granule] << 14 | TG1[high_granule] << 30 | ps << 32 | int(ds) << 59 | extra

    def registers(self, tcr: int, ttbr: int = 0x4000_0000, **changes: int) -> dict[str, int]:
        make = {"el1": el1, "el2": el2, "el2-vhe": el2_vhe, "el3": el3}[self.name]
        number = int(self.upper)
        return make(**{f"TCR_EL{self.el}": tcr, f"TTBR{number}_EL{self.el}": ttbr, **changes})

    def regime(self, registers: dict[str, int]) -> Regime:
        return ARM.regime_for(reader(registers), 1 << 55 if self.upper else 0, self.name)

    def address(self, offset: int, bits: int) -> int:
        """Return an address of the range by where it lies in it."""
        return offset | (ALL_ONES ^ (1 << bits) - 1 if self.upper else 0)

    def __str__(self) -> str:
        return f"{self.name} {'upper' if self.upper else 'lower'}"


LOWER, UPPER = Half("el1"), Half("el1", True)
HALVES = (LOWER, UPPER, Half("el2"), Half("el2-vhe"), Half("el2-vhe", True), Half("el3"))


@dataclass
class Script:
    """A memory that answers one read after the other with these descriptors, and remembers where it was asked."""

    words: list[int]
    asked: list[int] = field(default_factory=list)

    def read(self, pa: int, size_bytes: int) -> bytes:
        assert size_bytes == 8
        self.asked.append(pa)
        return self.words[len(self.asked) - 1].to_bytes(8, "little")


def start(granule: int, bits: int) -> int:
    return next(level for least, most, level in START[granule] if least <= bits <= most)


def bounds(granule: int, st: bool, lva: bool, ds: bool) -> tuple[int, int]:
    least = 12 if (lva if granule == 16 else ds) else 16
    return least, (39 if not st else 47 if granule == 16 else 48)


def shape(regime: Regime) -> list[tuple[int, int, int]]:
    return [(each.number, each.high, each.low) for each in regime.levels]


def expected_shape(granule: int, bits: int, first: int) -> list[tuple[int, int, int]]:
    """Return (number, high, low) of each level: the first one ends where the address does."""
    low = LOW[granule]
    return [(each, (bits if each == first else low[each - 1]) - 1, low[each]) for each in range(first, 4)]


def test_first_level_and_bounds_of_TnSZ() -> None:
    wrong = []
    for half, granule, st, lva, ds, lpa2 in product(HALVES, GRANULES, *[(False, True)] * 4):
        # TCR_ELx.DS is RES0 without FEAT_LPA2, and at 64KB.
        least, most = bounds(granule, st, lva, ds and lpa2 and granule != 16)
        has = {"ID_AA64MMFR0_EL1": mmfr0(6, lpa2), "ID_AA64MMFR2_EL1": mmfr2(st, lva)}
        for size in range(64):
            regime = half.regime(half.registers(half.tcr(size, granule, ds=ds), **has))
            row = f"{half} {NAMED[granule]} TnSZ={size} ST={st:d} LVA={lva:d} DS={ds:d} LPA2={lpa2:d}"
            bits = 64 - size
            if not least <= size <= most:
                va = half.address(0, min(bits, 48))
                found = walk(regime, va, Script([]).read).outcome
                if found != TRANSLATION_AT_0:
                    wrong.append(f"{row}: {found}, not a translation fault at level 0")
                continue
            first, last = half.address(0, bits), half.address((1 << bits) - 1, bits)
            given = shape(regime), regime.first, regime.last, regime.admit(first), regime.admit(last)
            if given != (expected_shape(granule, bits, start(granule, bits)), first, last, None, None):
                wrong.append(f"{row}: {given}")
    settle(wrong)


def test_each_level_is_indexed_by_its_own_bits() -> None:
    """The root's index has as many bits as are left for it: a table of two entries has two."""
    wrong = []
    for half, granule, ds in product((LOWER, UPPER, Half("el2")), GRANULES, (False, True)):
        least, most = bounds(granule, True, True, ds)
        has = {"ID_AA64MMFR0_EL1": mmfr0(6), "ID_AA64MMFR2_EL1": mmfr2(True, True)}
        for size, pattern in product(range(least, most + 1), (ALL_ONES, 0x5A5A_A5A5_3C3C_C3C3, 0)):
            bits = 64 - size
            first = start(granule, bits)
            va = half.address(pattern & (1 << bits) - 1, bits)
            words = [*(TABLE | (5 + each) << 28 for each in range(3 - first)), PAGE | AF]
            script = Script(words)
            found = walk(half.regime(half.registers(half.tcr(size, granule, ds=ds), **has)), va, script.read)
            at = [
                (4 + number << 28) + 8 * ((va & (1 << high + 1) - 1) >> low)
                for number, (_, high, low) in enumerate(expected_shape(granule, bits, first))
            ]
            if script.asked != at or found.outcome != Mapped(va & (1 << granule) - 1, 1 << granule):
                asked = [hex(each) for each in script.asked]
                wrong.append(f"{half} {NAMED[granule]} TnSZ={size} DS={ds:d} {va:#x}: {found.outcome} by {asked}")
    settle(wrong)


def base(ttbr: int, root_bytes: int, wide: bool) -> int:
    """Return the root that a table base register names.

    It is aligned to all of the table.  With bits [51:48] in [5:2] it is aligned to 64 bytes at the least; otherwise
    a table of two or four entries may stand at 16 or 32 bytes.
    """
    if wide:
        return ((ttbr >> 2 & 0xF) << 48 | ttbr & 0x0000_FFFF_FFFF_FFC0) & -max(root_bytes, 64)
    return ttbr & 0x0000_FFFF_FFFF_FFFE & -root_bytes


# ASID [63:48], CnP [0]; and bits [5:2].
BASES = (ALL_ONES, 0x0000_FFFF_FFFF_FFFF, 0xFFFF << 48, 0x3C, 1, 0x1230, 0x4000_0040, 0x8000_0000_0020, 0x4000_0001)


def is_wide(granule: int, ds: bool, pa: int, ps: int) -> bool:
    """Return whether BADDR[51:48] is in TTBR[5:2]: DS alone, or PS (not PARange) of 52 bits at 64KB, with FEAT_LPA."""
    return pa >= 6 and ps == 6 if granule == 16 else ds


def test_root_alignment_and_wide_bases() -> None:
    wrong = []
    sizes = ((5, 5), (6, 6), (6, 5), (5, 6), (6, 7))
    for half, granule, ds, (pa, ps) in product((UPPER, Half("el3")), GRANULES, (False, True), sizes):
        has = {"ID_AA64MMFR0_EL1": mmfr0(pa), "ID_AA64MMFR2_EL1": mmfr2(True, True)}
        least, most = bounds(granule, True, True, ds)
        wide = is_wide(granule, ds, pa, ps)
        for size, ttbr in product(range(least, most + 1), BASES):
            regime = half.regime(half.registers(half.tcr(size, granule, ps, ds), ttbr, **has))
            bits = 64 - size
            root_bytes = 8 << bits - LOW[granule][start(granule, bits)]
            if regime.root != base(ttbr, root_bytes, wide):
                row = f"{half} {NAMED[granule]} TnSZ={size} DS={ds:d} PARange={pa} PS={ps} TTBR={ttbr:#x}"
                wrong.append(f"{row}: {regime.root:#x}, not {base(ttbr, root_bytes, wide):#x}")
    settle(wrong)


def output(granule: int, ds: bool, pa: int, word: int, low: int) -> int:
    """Return the address in a descriptor, whose lowest bit is `low`."""
    address = word & (1 << 48) - (1 << low)
    if granule == 16:
        # FEAT_LPA, whatever PS says.
        return address | (word >> 12 & 0xF) << 48 if pa >= 6 else address
    return address | (word >> 48 & 3) << 48 | (word >> 8 & 3) << 50 if ds else address


def size_of(pa: int, ps: int) -> int:
    """Return how many bits an output address may have; 52 at the most, with 64-bit descriptors."""
    return min(SIZES[pa], SIZES[ps], 52)


def may_hold_block(granule: int, ds: bool, pa: int, level: int) -> bool:
    legal = {
        12: {1, 2} | ({0} if ds else set()),
        14: {2} | ({1} if ds else set()),
        16: {2} | ({1} if pa >= 6 else set()),
    }
    return level in legal[granule]


@dataclass(frozen=True)
class Layout:
    """A granule, DS, PARange and PS, with all the bits of address that they allow."""

    granule: int
    ds: bool
    pa: int
    ps: int

    @property
    def bits(self) -> int:
        return 52 if self.ds or self.granule == 16 else 48

    @property
    def first(self) -> int:
        return start(self.granule, self.bits)

    def walk(self, half: Half, va: int, words: list[int], ttbr: int = 0x4000_0000, sh: int = 3) -> tuple[Walk, Script]:
        has = {"ID_AA64MMFR0_EL1": mmfr0(self.pa), "ID_AA64MMFR2_EL1": mmfr2(True, True)}
        tcr = half.tcr(64 - self.bits, self.granule, self.ps, self.ds, sh)
        script = Script(words)
        return walk(half.regime(half.registers(tcr, ttbr, **has)), va, script.read), script

    def __str__(self) -> str:
        return f"{NAMED[self.granule]} DS={self.ds:d} PARange={self.pa} PS={self.ps}"


def layouts(pairs: tuple[tuple[int, int], ...]) -> Iterator[Layout]:
    for granule, ds, (pa, ps) in product(GRANULES, (False, True), pairs):
        if not (ds and granule == 16):
            yield Layout(granule, ds, pa, ps)


def test_segments_of_output_addresses() -> None:
    """Each bit of a leaf or a table descriptor is where it belongs in the address, or nowhere in it.

    With FEAT_LPA in ID_AA64MMFR0_EL1 and without DS, bits [9:8] at 4KB and 16KB stay SH.  The size is checked at the
    level of the descriptor that has the address, for tables too.
    """
    wrong = []
    for layout in layouts(((6, 6), (5, 5), (6, 5), (5, 6), (6, 2), (2, 6), (6, 7))):
        granule, limit = layout.granule, size_of(layout.pa, layout.ps)
        for level, leaf in product(range(layout.first, 4), (True, False)):
            if leaf and level < 3 and not may_hold_block(granule, layout.ds, layout.pa, level):
                continue
            if not leaf and level == 3:
                continue
            kind = (PAGE if level == 3 else BLOCK) | AF if leaf else TABLE
            low = LOW[granule][level] if leaf else granule
            path = [TABLE | 0x4100_0000] * (level - layout.first)
            va = 0x123
            # Bit 10 is AF, bit 52 the Contiguous bit: with it a leaf's address means its whole run.
            for bit in sorted(set(range(2, 64)) - {10, 52}):
                word = kind | 1 << bit
                address = output(granule, layout.ds, layout.pa, word, low)
                after = [] if leaf else [0]
                found, script = layout.walk(LOWER, va, [*path, word, *after])
                row = f"{layout} level {level} {'leaf' if leaf else 'table'} bit {bit}"
                expected: Mapped | Fault
                if address >> limit:
                    expected = Fault(FaultKind.ADDRESS_SIZE, 1, level)
                elif leaf:
                    expected = Mapped(address | va, 1 << low)
                else:
                    expected = Fault(FaultKind.TRANSLATION, 1, level + 1)
                    if script.asked[-1] != address:
                        wrong.append(f"{row}: next table at {script.asked[-1]:#x}, not {address:#x}")
                if found.outcome != expected:
                    wrong.append(f"{row}: {found.outcome}, not {expected}")
    settle(wrong)


def test_DS_takes_the_shareability_from_TCR() -> None:
    wrong = []
    names = {0: "Non-shareable", 2: "Outer Shareable", 3: "Inner Shareable"}
    for half, layout in product(HALVES, layouts(((6, 6), (5, 5)))):
        for sh, configured in product(names, names):
            # 64KB pages keep SH in [9:8]: FEAT_LPA has [51:48] in [15:12].
            word = PAGE | AF | sh << 8
            va = half.address(0, layout.bits)
            found, _ = layout.walk(half, va, [TABLE | 0x4100_0000] * (3 - layout.first) + [word], sh=configured)
            expected = names[configured if layout.ds else sh]
            said = found.attributes.shareability if found.attributes else str(found.outcome)
            if layout.ds and sh and layout.pa < 6:
                continue
            if said != expected:
                wrong.append(f"{half} {layout} SH={sh} TCR.SHn={configured}: {said}, not {expected}")
    settle(wrong)


def test_levels_that_may_hold_a_block() -> None:
    """PARange decides at 64KB, and DS at 4KB and 16KB; PS has no say.  At the last level 0b01 is reserved."""
    wrong = []
    for half, layout in product(HALVES, layouts(tuple(product((0, 4, 5, 6, 7), (0, 5, 6))))):
        for level in range(layout.first, 4):
            found, _ = layout.walk(
                half, half.address(0, layout.bits), [TABLE | 0x4100_0000] * (level - layout.first) + [BLOCK | AF]
            )
            legal = may_hold_block(layout.granule, layout.ds, layout.pa, level)
            expected = Mapped(0, 1 << LOW[layout.granule][level]) if legal else Fault(FaultKind.TRANSLATION, 1, level)
            if found.outcome != expected:
                wrong.append(f"{half} {layout} block at level {level}: {found.outcome}, not {expected}")
    settle(wrong)


def test_output_size_is_the_smaller_of_PS_and_PARange() -> None:
    """The last address that fits, and the first that does not: in TTBR (level 0), in a table, in a page.

    PS=0b111 is 56 bits, which is as if it were the largest that the PE has.
    """
    wrong = []
    for half, layout in product((LOWER, UPPER, Half("el2"), Half("el3")), layouts(tuple(product(range(8), range(8))))):
        limit = min(size_of(layout.pa, layout.ps), 52 if layout.ds else 48)
        va = half.address(0, layout.bits)
        tables = [TABLE | 0x1_0000] * (3 - layout.first)
        wide = layout.ds
        for beyond in (False, True):
            if beyond and limit == (52 if layout.ds else 48):
                continue
            top = 1 << limit - (not beyond)
            # Bits [51:50] of a descriptor with DS are in [9:8], of TTBR [51:48] in [5:2].
            held = top & (1 << 50) - 1 | (top >> 50) << 8
            ttbr = top & (1 << 48) - 1 | (top >> 48) << 2 if wide else top
            cases = {
                "TTBR": (ttbr, [*tables, PAGE | AF], 0),
                "last table": (0, [*tables[:-1], TABLE | held, PAGE | AF], 2),
                "page": (0, [*tables, PAGE | AF | held], 3),
            }
            for what, (root, words, level) in cases.items():
                found, _ = layout.walk(half, va, words, root)
                refused = Fault(FaultKind.ADDRESS_SIZE, 1, level)
                if (found.outcome == refused) != beyond or (not beyond and not isinstance(found.outcome, Mapped)):
                    wrong.append(f"{half} {layout} {what} with bit {limit - (not beyond)}: {found.outcome}")
    settle(wrong)


def test_TTBR_beyond_the_size_faults_at_level_0_wherever_the_walk_starts() -> None:
    wrong = []
    for half, granule, ds in product(HALVES, GRANULES, (False, True)):
        least, most = bounds(granule, True, True, ds)
        has = {"ID_AA64MMFR0_EL1": mmfr0(6), "ID_AA64MMFR2_EL1": mmfr2(True, True)}
        for size in range(least, most + 1):
            tcr = half.tcr(size, granule, 2, ds)
            regime = half.regime(half.registers(tcr, 1 << 40, **has))
            va = half.address(0, 64 - size)
            found = walk(regime, va, Script([]).read).outcome
            if found != ADDRESS_SIZE_AT_0:
                wrong.append(f"{half} {NAMED[granule]} TnSZ={size} DS={ds:d}: {found}")
    settle(wrong)


def test_a_granule_that_is_not_there_is_the_smallest_that_is() -> None:
    """IMPLEMENTATION DEFINED in the manual: AArch64.S1DecodeTG0, S1DecodeTG1; so is a reserved TGn."""
    wrong = []
    for half, lacking in product(HALVES, ((), (12,), (14,), (16,), (12, 14), (12, 16), (14, 16))):
        present = [each for each in GRANULES if each not in lacking]
        absent4, absent64 = (0xF if 12 in lacking else 1), (0xF if 16 in lacking else 0)
        has = {"ID_AA64MMFR0_EL1": mmfr0(6, t4=absent4, t16=0 if 14 in lacking else 2, t64=absent64)}
        for asked in (*GRANULES, None):
            # TG0=0b11 and TG1=0b00 are reserved.
            field_at, reserved = (30, 0b00) if half.upper else (14, 0b11)
            tcr = half.tcr(25, asked or 12) & ~(0b11 << field_at)
            code = reserved if asked is None else (TG1 if half.upper else TG0)[asked]
            regime = half.regime(half.registers(tcr | code << field_at, **has))
            granule = asked if asked in present else present[0]
            if shape(regime) != expected_shape(granule, 39, start(granule, 39)):
                wrong.append(f"{half} without {lacking}, TGn={code:02b}: {shape(regime)}, not {NAMED[granule]}'s")
    settle(wrong)


# Where a range has TBI, TBID and MTX: TCR_EL1 (and TCR_EL2 of a host) lower and upper; TCR_EL2, TCR_EL3.
TAGGING = {(False, False): (37, 51, 60), (False, True): (38, 52, 61), (True, False): (20, 29, 33)}
TOP_BYTES = (0x00, 0x01, 0x08, 0x0F, 0x10, 0x5A, 0x80, 0xA5, 0xEF, 0xF0, 0xF1, 0xF7, 0xFE, 0xFF)


def in_range(half: Half, va: int, bits: int, ignored: int) -> bool:
    """Return whether what is above the range's bits, but for the `ignored` ones, is as the range has it."""
    above = ALL_ONES ^ (1 << bits) - 1 ^ ignored
    return va & above == (above if half.upper else 0)


def test_what_is_no_part_of_an_address() -> None:
    """TBI: [63:56]; MTX: [59:56]; TBID takes TBI's away from instruction fetches.  The hole faults at level 0.

    Bit 55 chooses the range; where there is one range it has to be 0 (and bit 63 chooses nothing).  Fetches with MTX
    are left out: AArch64.VAIsOutOfRange leaves out their [59:56] even with TBID, which is hardly meant.
    """
    wrong = []
    for half, bits, tbi, tbid, mtx in product(HALVES, (39, 48), (0, 1), (0, 1), (0, 1)):
        at_tbi, at_tbid, at_mtx = TAGGING[half.one, half.upper]
        extra = tbi << at_tbi | tbid << at_tbid | mtx << at_mtx
        registers = half.registers(half.tcr(64 - bits, 12, 5, extra=extra))
        for top, middle in product(TOP_BYTES, (0, (1 << 56) - (1 << bits), 1 << bits, 1 << 54, 1 << 55)):
            va = top << 56 | middle | 0x123
            if not half.one and bool(va & 1 << 55) != half.upper:
                continue
            regime = ARM.regime_for(reader(registers), va, half.name)
            found = walk(regime, va, Script([TABLE | 0x4100_0000] * (2 + (bits == 48)) + [PAGE | AF | 0x7000]).read)
            row = f"{half} {bits} bits TBI={tbi} TBID={tbid} MTX={mtx} {va:#018x}"
            ignored = (0xFF if tbi else 0x0F if mtx else 0) << 56
            expected = Mapped(0x7123, 4096) if in_range(half, va, bits, ignored) else TRANSLATION_AT_0
            if found.outcome != expected:
                wrong.append(f"{row}: {found.outcome}, not {expected}")
            refusal = ARM.check(found, Access(AccessKind.EXECUTE, half.el), half.el << 2 | 1)
            said = refusal.fault if refusal else None
            fetched = in_range(half, va, bits, 0 if tbid or not tbi else 0xFF << 56)
            if not mtx and said != (None if fetched else TRANSLATION_AT_0):
                wrong.append(f"{row}: a fetch meets {said}")
    settle(wrong)


def test_tags_of_the_halves_are_their_own() -> None:
    wrong = []
    for half, name in product((LOWER, UPPER, Half("el2-vhe"), Half("el2-vhe", True)), ("TBI", "MTX")):
        which = 0 if name == "TBI" else 2
        own, other = (TAGGING[False, upper][which] for upper in (half.upper, not half.upper))
        va = half.address(0x123, 48) ^ 0x0A << 56
        for at, expected in ((own, Mapped(0x123, 1 << 30)), (other, TRANSLATION_AT_0)):
            regime = half.regime(half.registers(half.tcr(16, 12, 5, extra=1 << at)))
            found = walk(regime, va, Script([TABLE | 0x4100_0000, BLOCK | AF]).read)
            if found.outcome != expected:
                wrong.append(f"{half} {name} in bit {at}: {found.outcome}, not {expected}")
    settle(wrong)


def test_EPD_disables_its_own_range_before_its_TTBR_is_looked_at() -> None:
    wrong = []
    for half, disabled, bad in product((LOWER, UPPER, Half("el2-vhe"), Half("el2-vhe", True)), range(4), (0, 1)):
        # EPD0 [7], EPD1 [23].  2^40 is beyond IPS=0b001.
        extra = (disabled & 1) << 7 | (disabled >> 1) << 23
        registers = half.registers(half.tcr(25, 12, 1, extra=extra), bad << 40 | 0x4000_0000)
        found = walk(half.regime(registers), half.address(0, 39), Script([BLOCK | AF]).read).outcome
        off = disabled >> half.upper & 1
        expected = TRANSLATION_AT_0 if off else ADDRESS_SIZE_AT_0 if bad else Mapped(0, 1 << 30)
        if found != expected:
            wrong.append(f"{half} EPD1:EPD0={disabled:02b} bad TTBR={bad}: {found}, not {expected}")
    settle(wrong)


def test_an_address_outside_its_range_is_refused_before_TTBR_is() -> None:
    wrong = []
    for half in HALVES:
        registers = half.registers(half.tcr(25, 12, 1), 1 << 40)
        found = walk(half.regime(registers), half.address(0, 39) ^ 1 << 39, Script([]).read).outcome
        if found != TRANSLATION_AT_0:
            wrong.append(f"{half}: {found}")
    settle(wrong)


def test_E0PD_keeps_EL0_out_whatever_the_tables_say() -> None:
    """A translation fault at level 0 for EL0, fetches and LDTR of EL1 as well; without FEAT_E0PD the bits are RES0."""
    wrong = []
    everyone = BLOCK | AF | 1 << 6
    asking = (
        (Access(AccessKind.READ, 0), EL0T, True),
        (Access(AccessKind.EXECUTE, 0), EL0T, True),
        (Access(AccessKind.READ, 1), EL1H, False),
        (Access(AccessKind.READ, 1, unprivileged=True), EL1H, True),
    )
    for half, kept, has, leaf in product((LOWER, UPPER), range(4), (False, True), (everyone, 0)):
        # E0PD0 [55], E0PD1 [56].
        tcr = half.tcr(25, 12, 5, extra=kept << 55)
        registers = half.registers(tcr, ID_AA64MMFR2_EL1=mmfr2(e0pd=has))
        found = walk(half.regime(registers), half.address(0, 39), Script([leaf]).read)
        for access, pstate, as_user in asking:
            refused = ARM.check(found, access, pstate)
            said = refused.fault if refused else None
            out = has and as_user and kept >> half.upper & 1
            expected = TRANSLATION_AT_0 if out else None if leaf else Fault(FaultKind.TRANSLATION, 1, 1)
            if said != expected:
                wrong.append(f"{half} E0PD1:E0PD0={kept:02b} FEAT_E0PD={has:d} {access}: {said}, not {expected}")
    settle(wrong)


def off(half: Half, pa: int, extra: int) -> dict[str, int]:
    changes = {f"SCTLR_EL{half.el}": 0, "ID_AA64MMFR0_EL1": mmfr0(pa)}
    # IPS of 32 bits: with stage 1 off only the size that the PE has counts.
    return half.registers(half.tcr(25, 12, 0, extra=extra), **changes)


def test_with_stage_1_off_an_address_has_to_fit_the_PE() -> None:
    """An address size fault at level 0; TBI leaves [63:56] out, MTX [59:56], bit 55 counts in either range."""
    wrong = []
    for half, pa, tbi, mtx in product(HALVES, range(7), (0, 1), (0, 1)):
        at_tbi, _, at_mtx = TAGGING[half.one, half.upper]
        other_tbi, _, other_mtx = TAGGING[half.one, half.upper != (not half.one)]
        # Which half's TBI it is has no say: bit 55 makes any address too large.
        registers = off(half, pa, tbi << at_tbi | tbi << other_tbi | mtx << at_mtx | mtx << other_mtx)
        edge = 1 << SIZES[pa]
        for rest, top in product((0, edge - 1, edge, 1 << 55, (1 << 56) - edge), (0x00, 0x0A, 0xA0, 0xFF)):
            va = top << 56 | rest
            ignored = (0xFF if tbi else 0x0F if mtx else 0) << 56
            fits = not (va & ~ignored) >> SIZES[pa]
            found = walk(ARM.regime_for(reader(registers), va, half.name), va, Script([]).read).outcome
            said = found.address if isinstance(found, Mapped) else found
            if said != (rest if fits else ADDRESS_SIZE_AT_0):
                wrong.append(f"{half} PARange={pa} TBI={tbi} MTX={mtx} {va:#018x}: {found}")
    settle(wrong)


def test_with_stage_1_off_TBID_counts_the_tag_of_a_fetch() -> None:
    wrong = []
    for half, tbi, tbid in product(HALVES, (0, 1), (0, 1)):
        if half.upper:
            continue
        at_tbi, at_tbid, _ = TAGGING[half.one, half.upper]
        registers = off(half, 5, tbi << at_tbi | tbid << at_tbid)
        for va in (0x1234_5678, 0x0A00_0000_1234_5678):
            found = walk(half.regime(registers), va, Script([]).read)
            refused = ARM.check(found, Access(AccessKind.EXECUTE, half.el), half.el << 2 | 1)
            said = refused.fault if refused else None
            expected = ADDRESS_SIZE_AT_0 if va >> 56 and (tbid or not tbi) else None
            if said != expected:
                wrong.append(f"{half} TBI={tbi} TBID={tbid} {va:#018x}: a fetch meets {said}, not {expected}")
    settle(wrong)
