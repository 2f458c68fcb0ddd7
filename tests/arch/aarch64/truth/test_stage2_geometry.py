"""How stage 2 cuts an address into levels, and where it starts; and how long contiguous runs are, at both stages.

DDI 0487, "Stage 2 translation", "Concatenated translation tables", "The Contiguous bit", and of Arm's pseudocode for
Armv9.4 (rems-project/sail-arm) AArch64.S2InvalidSL, S2InconsistentSL, S2StartLevel, S2MinTxSZ, MaxTxSZ, S2TxSZFaults,
S2TTBaseAddress, S2SLTTEntryAddress, IPAIsOutOfRange, NSS2TTWParams, SS2TTWParams, S2Translate, S2Walk, ContiguousSize,
ContiguousBit.  Where the manual leaves a choice, a T0SZ out of bounds faults at level 0, and a granule that is not
there is the smallest one that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from gdbtools.analysis.contiguity import Breach, Contiguity, contiguity
from gdbtools.arch.model import Fault, FaultKind, Mapped, Regime, Walk
from gdbtools.arch.walk import walk
from tests.arch.aarch64.truth.machine import AF, ARM, DC, PAGE, RW, TABLE, TGE, VM, guest, settle
from tests.arch.aarch64.truth.test_geometry import (
    BASES,
    BLOCK,
    GRANULES,
    LOW,
    LOWER,
    NAMED,
    SIZES,
    TG0,
    Layout,
    Script,
    base,
    expected_shape,
    is_wide,
    layouts,
    may_hold_block,
    mmfr0,
    mmfr2,
    output,
    shape,
    size_of,
)
from tests.tables import reader

TRANSLATION_AT_0 = Fault(FaultKind.TRANSLATION, 2, 0)
ADDRESS_SIZE_AT_0 = Fault(FaultKind.ADDRESS_SIZE, 2, 0)
# MemAttr [5:2] Normal Write-Back, S2AP [7:6] read/write, SH [9:8] 0.
LEAF = AF | 0b1111 << 2 | 0b11 << 6

# {SL2, SL0}, and the level where it starts.
LEVELS = {
    12: {(0, 0): 2, (0, 1): 1, (0, 2): 0, (0, 3): 3, (1, 0): -1},
    14: {(0, 0): 3, (0, 1): 2, (0, 2): 1, (0, 3): 0},
    16: {(0, 0): 3, (0, 1): 2, (0, 2): 1},
}
# How many bits of address may start at a level: from two entries of one table to 16 concatenated tables.
INPUT = {
    12: {-1: (49, 61), 0: (40, 52), 1: (31, 43), 2: (22, 34), 3: (13, 25)},
    14: {0: (48, 62), 1: (37, 51), 2: (26, 40), 3: (15, 29)},
    16: {1: (43, 59), 2: (30, 46), 3: (17, 33)},
}
# What a level needs: an address size of the PE, whatever PS says.  Level 0 at 16KB is of later editions than that
# pseudocode is: "VTCR_EL2.SL0" has it for 52 bits only.
NEEDS = {(12, 0): 44, (14, 1): 42, (14, 0): 52, (16, 1): 44}


@dataclass(frozen=True)
class Stage2:
    """What the registers say of a stage 2."""

    granule: int = 12
    sl0: int = 1
    sl2: int = 0
    ds: bool = False
    size: int = 25
    pa: int = 6
    ps: int = 6
    st: bool = False
    secure: bool = False
    sh: int = 3

    @property
    def bits(self) -> int:
        return 64 - self.size

    @property
    def first(self) -> int | None:
        """Where it starts; None where it starts nowhere: a translation fault at level 0."""
        # VTCR_EL2.DS is RES0 at 64KB; SL2 has a say at 4KB only, and with DS.
        wide = self.ds and self.granule != 16
        sl2 = self.sl2 if wide and self.granule == 12 else 0
        level = LEVELS[self.granule].get((sl2, self.sl0))
        if level is None or SIZES[self.pa] < NEEDS.get((self.granule, level), 0):
            return None
        if (self.granule, level) == (12, 3) and not self.st:
            return None
        if (self.granule, level) == (14, 0) and not wide:
            return None
        most_bits = min(SIZES[self.pa], 52 if wide or self.granule == 16 else 48)
        largest = 39 if not self.st else 47 if self.granule == 16 else 48
        if not 64 - most_bits <= self.size <= largest:
            return None
        least, most = INPUT[self.granule][level]
        return level if least <= self.bits <= most else None

    @property
    def entries(self) -> int:
        assert self.first is not None
        return 1 << self.bits - LOW[self.granule][self.first]

    def registers(self, vttbr: int = 0x4000_0000, **changes: int) -> dict[str, int]:
        # T0SZ [5:0], SL0 [7:6], TG0 [15:14], SL2 [33]; in VTCR_EL2 alone SH0 [13:12], PS [18:16], DS [32].
        own = self.size | self.sl0 << 6 | TG0[self.granule] << 14 | self.sl2 << 33 | 1 << 31
        shared = self.sh << 12 | self.ps << 16 | int(self.ds) << 32
        has = {"ID_AA64MMFR0_EL1": mmfr0(self.pa), "ID_AA64MMFR2_EL1": mmfr2(self.st)}
        if not self.secure:
            return guest(**{**has, "VTCR_EL2": own | shared, "VTTBR_EL2": vttbr, **changes})
        # A Non-secure stage 2 that differs in all that Secure state has a register of its own for.
        other = 20 | 3 << 6 | TG0[14 if self.granule != 14 else 16] << 14 | (1 - self.sl2) << 33 | 1 << 31
        secure = {"VSTCR_EL2": own, "VTCR_EL2": other | shared, "VSTTBR_EL2": vttbr, "VTTBR_EL2": 0x9_9999_0000}
        return guest(**{**has, **secure, **changes})

    def regime(self, vttbr: int = 0x4000_0000) -> Regime:
        return ARM.regime_for(reader(self.registers(vttbr)), 0, "secure-stage2" if self.secure else "stage2")

    def walk(self, ipa: int, words: list[int], vttbr: int = 0x4000_0000) -> tuple[Walk, Script]:
        script = Script(words)
        return walk(self.regime(vttbr), ipa, script.read), script

    def __str__(self) -> str:
        return (
            f"{'secure ' if self.secure else ''}{NAMED[self.granule]} SL0={self.sl0} SL2={self.sl2} DS={self.ds:d} "
            f"T0SZ={self.size} PARange={self.pa} PS={self.ps} ST={self.st:d}"
        )


def settings(pa: tuple[int, ...], secure: bool, st: tuple[bool, ...] = (False, True)) -> Iterator[Stage2]:
    choices = product(GRANULES, range(4), (0, 1), (False, True), pa, st, range(64))
    for granule, sl0, sl2, ds, each, small, size in choices:
        yield Stage2(granule, sl0, sl2, ds, size, each, 6, small, secure)


def disagreements(those: Iterator[Stage2]) -> Iterator[str]:
    for one in those:
        regime = one.regime()
        last = (1 << one.bits) - 1
        if one.first is None:
            if (found := walk(regime, 0, Script([]).read).outcome) != TRANSLATION_AT_0:
                yield f"{one}: {found}, not a translation fault at level 0"
            continue
        given = shape(regime), regime.admit(0), regime.admit(last)
        if given != (expected_shape(one.granule, one.bits, one.first), None, None):
            yield f"{one}: {given}"
        refused = regime.admit(last + 1)
        if refused is None or refused.fault != TRANSLATION_AT_0:
            yield f"{one}: {last + 1:#x} meets {refused}"


def test_SL0_SL2_and_T0SZ_start_where_they_may() -> None:
    settle(disagreements(settings((0, 2, 3, 4, 5, 6), False)))


def test_secure_stage_2_has_T0SZ_SL_and_granule_of_VSTCR_but_DS_and_PS_of_VTCR() -> None:
    settle(disagreements(settings((4, 6), True, (True,))))


def test_PS_has_no_say_in_where_stage_2_starts() -> None:
    wrong = []
    for ps, sl0, size in product(range(8), range(4), range(12, 49)):
        for granule in GRANULES:
            one = Stage2(granule, sl0, size=size, pa=5, ps=ps, st=True)
            found = one.regime().levels[0].number if one.regime().levels else None
            if found != one.first:
                wrong.append(f"{one}: starts at {found}, not {one.first}")
    settle(wrong)


def starts() -> Iterator[Stage2]:
    """Yield every stage 2 that starts somewhere, on a large PE."""
    for one in settings((6,), False, (True,)):
        if one.first is not None and (one.sl2 == 0 or one.first == -1):
            yield one


def test_root_is_aligned_to_all_of_its_concatenated_tables() -> None:
    """As at stage 1: to 64 bytes at the least only where the base has 52 bits.  VMID and CnP are no part of it."""
    wrong = []
    for one, ps, ttbr in product(starts(), (2, 5, 6), BASES):
        changed = Stage2(one.granule, one.sl0, one.sl2, one.ds, one.size, 6, ps, True)
        wide = is_wide(one.granule, one.ds, 6, ps)
        expected = base(ttbr, 8 * one.entries, wide)
        if changed.regime(ttbr).root != expected:
            wrong.append(f"{changed} VTTBR={ttbr:#x}: {changed.regime(ttbr).root:#x}, not {expected:#x}")
    settle(wrong)


def test_index_into_a_concatenated_root_is_whole() -> None:
    wrong = []
    most = 0
    for one in starts():
        assert one.first is not None
        most = max(most, one.entries * 8 >> one.granule)
        for index in {1, one.entries // 2, one.entries - 1}:
            ipa = index << LOW[one.granule][one.first]
            found, script = one.walk(ipa, [0])
            if script.asked != [0x4000_0000 + 8 * index] or found.outcome != Fault(FaultKind.TRANSLATION, 2, one.first):
                wrong.append(f"{one} entry {index}: {found.outcome} at {[hex(each) for each in script.asked]}")
    assert most == 16, "no root was of 16 tables"
    settle(wrong)


def full(layout: Layout) -> Stage2:
    """Return the stage 2 of a layout that starts as high as the PE allows."""
    choices = product(range(4), (0, 1), range(12, 40))
    each = (Stage2(layout.granule, sl0, sl2, layout.ds, size, layout.pa, layout.ps, True) for sl0, sl2, size in choices)
    return min((one for one in each if one.first is not None), key=lambda one: one.first or 0)


def test_segments_of_stage_2_outputs_and_where_a_block_may_stand() -> None:
    wrong = []
    for layout in layouts(((6, 6), (5, 5), (6, 5), (5, 6), (6, 2), (2, 6), (6, 7))):
        one, granule, limit = full(layout), layout.granule, size_of(layout.pa, layout.ps)
        assert one.first is not None
        for level, leaf in product(range(one.first, 4), (True, False)):
            path = [TABLE | 0x4100_0000] * (level - one.first)
            legal = level == 3 or may_hold_block(granule, layout.ds, layout.pa, level)
            low = LOW[granule][level] if leaf else granule
            for bit in sorted(set(range(2, 64)) - {10, 52}) if leaf or level < 3 else ():
                kind = (PAGE if level == 3 else BLOCK) | AF if leaf else TABLE
                word = kind | 1 << bit
                address = output(granule, layout.ds, layout.pa, word, low)
                found, script = one.walk(0x123, [*path, word, 0])
                expected: Mapped | Fault = Mapped(address | 0x123, 1 << low)
                if leaf and not legal:
                    expected = Fault(FaultKind.TRANSLATION, 2, level)
                elif address >> limit:
                    expected = Fault(FaultKind.ADDRESS_SIZE, 2, level)
                elif not leaf:
                    expected = Fault(FaultKind.TRANSLATION, 2, level + 1)
                row = f"{one} level {level} {'leaf' if leaf else 'table'} bit {bit}"
                if found.outcome != expected:
                    wrong.append(f"{row}: {found.outcome}, not {expected}")
                if not leaf and not address >> limit and script.asked[-1] != address:
                    wrong.append(f"{row}: next table at {script.asked[-1]:#x}, not {address:#x}")
    settle(wrong)


def test_VTTBR_beyond_the_size_faults_at_level_0() -> None:
    wrong = []
    for one, (pa, ps), secure in product(starts(), ((6, 2), (6, 5), (5, 2), (5, 6)), (False, True)):
        changed = Stage2(one.granule, one.sl0, one.sl2, one.ds, one.size, pa, ps, True, secure)
        if changed.first is None:
            continue
        limit = size_of(pa, ps)
        wide = is_wide(one.granule, one.ds, pa, ps)
        if limit >= (52 if wide else 48):
            continue
        bit = 1 << limit
        vttbr = bit if limit < 48 else bit >> 48 << 2
        found, _ = changed.walk(0, [], vttbr)
        if found.outcome != ADDRESS_SIZE_AT_0:
            wrong.append(f"{changed} VTTBR={vttbr:#x}: {found.outcome}")
    settle(wrong)


def test_a_granule_that_stage_2_lacks_is_the_smallest_it_has() -> None:
    """IMPLEMENTATION DEFINED in the manual: AArch64.S2DecodeTG0.

    TGran4_2 [43:40], TGran64_2 [39:36], TGran16_2 [35:32]: 1 is no, 2 is yes, and 0 is as at stage 1.
    """
    wrong = []
    for has4, has16, has64 in product((False, True), repeat=3):
        if not (has4 or has16 or has64):
            continue
        present = [each for each, has in zip(GRANULES, (has4, has16, has64), strict=True) if has]
        own = (1 + has4) << 40 | (1 + has64) << 36 | (1 + has16) << 32
        by_stage1 = mmfr0(6, t4=0 if has4 else 0xF, t16=int(has16), t64=0 if has64 else 0xF)
        for identification, asked in product((mmfr0() | own, by_stage1), (*GRANULES, None)):
            granule = asked if asked in present else present[0]
            # 33 bits may start at level 2 whatever the granule: SL0 says that by 0b00 at 4KB, and by 0b01 otherwise.
            one = Stage2(granule, 0 if granule == 12 else 1, size=31)
            code = 0b11 if asked is None else TG0[asked]
            vtcr = one.registers()["VTCR_EL2"] & ~(0b11 << 14) | code << 14
            regs = one.registers(VTCR_EL2=vtcr, ID_AA64MMFR0_EL1=identification)
            given = shape(ARM.regime_for(reader(regs), 0, "stage2"))
            if one.first is None or given != expected_shape(granule, 33, one.first):
                wrong.append(f"{present} TG0={code:02b}: {given}, not {NAMED[granule]}'s")
    settle(wrong)


def test_stage_1_table_beyond_the_IPA_space_is_stage_2s_fault_at_level_0() -> None:
    """The root, and a table that stage 1 leads to; TTBR fits IPS, and 39 bits of IPA end at 0x80_0000_0000."""
    beyond = 0x80_0000_0000
    expected = Fault(FaultKind.TRANSLATION, 2, 0, s1ptw=True)
    registers = Stage2().registers(TTBR0_EL1=beyond)
    assert walk(ARM.regime_for(reader(registers), 0, "el1"), 0, Script([]).read).outcome == expected
    registers = Stage2().registers(TTBR0_EL1=0x1000)
    script = Script([BLOCK | LEAF, TABLE | beyond])
    assert walk(ARM.regime_for(reader(registers), 0, "el1"), 0, script.read).outcome == expected


def test_stage_1_output_beyond_the_IPA_space_is_stage_2s_fault_and_beyond_IPS_its_own() -> None:
    # TCR_EL1: T0SZ=25, TG1=4KB, IPS.  Stage 2 has an IPA space of 39 bits.
    for ips, expected in ((5, TRANSLATION_AT_0), (1, Fault(FaultKind.ADDRESS_SIZE, 1, 1))):
        registers = Stage2().registers(TTBR0_EL1=0x1000, TCR_EL1=25 | 0b10 << 30 | 25 << 16 | ips << 32)
        script = Script([BLOCK | LEAF, BLOCK | AF | 0x80_0000_0000])
        assert walk(ARM.regime_for(reader(registers), 0, "el1"), 0, script.read).outcome == expected


def test_with_stage_1_off_the_PE_limits_first_and_stage_2_then() -> None:
    """SCTLR_EL1.M, HCR_EL2.DC and HCR_EL2.TGE each turn stage 1 of EL1&0 off."""
    ways = {
        "SCTLR_EL1.M=0": {"SCTLR_EL1": 0, "HCR_EL2": VM | RW},
        "HCR_EL2.DC": {"HCR_EL2": VM | RW | DC},
        "HCR_EL2.DC without VM": {"HCR_EL2": RW | DC},
        "HCR_EL2.TGE": {"HCR_EL2": VM | RW | TGE},
    }
    wrong = []
    addresses = {0x123: Mapped(0x123, 1 << 30), 1 << 39: TRANSLATION_AT_0, 1 << 48: Fault(FaultKind.ADDRESS_SIZE, 1, 0)}
    for why, changes in ways.items():
        for va, expected in addresses.items():
            registers = Stage2(pa=5).registers(**changes)
            found = walk(ARM.regime_for(reader(registers), va, "el1"), va, Script([BLOCK | LEAF]).read).outcome
            if found != expected:
                wrong.append(f"{why} {va:#x}: {found}, not {expected}")
    settle(wrong)


# "The Contiguous bit": log2 of how many entries make a run.  At the other levels the bit has no meaning.
RUN = {12: {1: 4, 2: 4, 3: 4}, 14: {2: 5, 3: 7}, 16: {2: 5, 3: 5}}
CONTIGUOUS = 1 << 52


@dataclass
class Run:
    """Tables that lead to a run of contiguous leaves at one level; `spoilt` is what one of its members is instead."""

    layout: Layout
    level: int
    first: int
    stage: int
    member: int = 37
    output: int = 0
    spoilt: dict[int, int] | None = None

    @property
    def low(self) -> int:
        return LOW[self.layout.granule][self.level]

    @property
    def entries(self) -> int:
        return 1 << RUN[self.layout.granule].get(self.level, 0)

    def leaf(self, index: int) -> int:
        kind = (PAGE if self.level == 3 else BLOCK) | CONTIGUOUS | (AF if self.stage == 1 else LEAF)
        return kind | (self.output + (index % self.entries << self.low))

    def read(self, pa: int, size_bytes: int) -> bytes:
        number = (pa >> 28) - 4
        if number < self.level - self.first:
            return (TABLE | (number + 5) << 28).to_bytes(8, "little")
        indexes = range((pa & 0xFFF_FFFF) // 8, ((pa & 0xFFF_FFFF) + size_bytes) // 8)
        words = [(self.spoilt or {}).get(index, self.leaf(index)) for index in indexes]
        return b"".join(word.to_bytes(8, "little") for word in words)

    def check(self) -> tuple[Walk, Contiguity | None]:
        va = self.member << self.low
        if self.stage == 2:
            found = walk(full(self.layout).regime(), va, self.read)
        else:
            has = {"ID_AA64MMFR0_EL1": mmfr0(self.layout.pa), "ID_AA64MMFR2_EL1": mmfr2(True, True)}
            tcr = LOWER.tcr(64 - self.layout.bits, self.layout.granule, self.layout.ps, self.layout.ds)
            found = walk(LOWER.regime(LOWER.registers(tcr, **has)), va, self.read)
        return found, contiguity(found, self.read)


def runs(member: int) -> Iterator[Run]:
    for layout, stage in product(layouts(((6, 6),)), (1, 2)):
        first = layout.first if stage == 1 else full(layout).first
        assert first is not None
        for level in range(first, 4):
            if level == 3 or may_hold_block(layout.granule, layout.ds, layout.pa, level):
                # At the root of a 52-bit space the run has to fit the table.
                yield Run(layout, level, first, stage, member if level > first else member % 8)


def test_contiguous_runs_by_granule_and_level() -> None:
    wrong = []
    for run in runs(37):
        if run.entries == 1:
            continue
        found, said = run.check()
        size = run.entries << run.low
        expected = Contiguity(found.input & -size, size)
        if not isinstance(found.outcome, Mapped) or said != expected:
            row = f"stage {run.stage} {run.layout} level {run.level} entry {run.member}"
            wrong.append(f"{row}: {found.outcome}, {said}, not {expected}")
    settle(wrong)


def test_the_contiguous_bit_means_nothing_where_there_are_no_runs() -> None:
    """AArch64.ContiguousBit: at level 0 of 4KB, and at level 1 of 16KB and 64KB, it is as if it were 0."""
    wrong = []
    for run in runs(37):
        if run.entries > 1:
            continue
        found, said = run.check()
        attributes = found.attributes
        if attributes is None or attributes.contiguous or said is not None:
            wrong.append(f"stage {run.stage} {run.layout} level {run.level}: {found.outcome}, {attributes}, {said}")
    settle(wrong)


def test_a_broken_run_is_told_by_the_descriptor_that_breaks_it() -> None:
    wrong = []
    for run in runs(37):
        if run.entries == 1:
            continue
        size = run.entries << run.low
        last = run.member | run.entries - 1
        table = run.level - run.first + 4 << 28
        run.spoilt = {last: run.leaf(last) & ~CONTIGUOUS}
        if (said := run.check()[1]) is None or (said.breach, said.pa) != (Breach.NOT_CONTIGUOUS, table + 8 * last):
            wrong.append(f"stage {run.stage} {run.layout} level {run.level}, a member without the bit: {said}")
        run.spoilt = {last: run.leaf(last - 1)}
        if (said := run.check()[1]) is None or (said.breach, said.pa) != (Breach.OUTPUT, table + 8 * last):
            wrong.append(f"stage {run.stage} {run.layout} level {run.level}, a member that leads elsewhere: {said}")
        run.spoilt, run.output = None, 1 << run.low
        if (said := run.check()[1]) is None or said.breach is None or said.size_bytes != size:
            wrong.append(f"stage {run.stage} {run.layout} level {run.level}, a run that is not aligned: {said}")
    settle(wrong)
