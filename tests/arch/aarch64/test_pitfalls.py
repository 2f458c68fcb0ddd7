"""The traps that published walkers fell into, in the order of shared/anchors.md: one named test for each.

Tables and registers are raw integers.  What a trap needs more than a few lines of is in test_regimes, test_permissions,
test_syndrome and truth/; here each is in its shortest form, so that the list can be read beside the other one.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from gdbtools.analysis.contiguity import Breach, contiguity
from gdbtools.analysis.faults.diagnosis import Verdict, diagnose
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.syndrome import InstructionAbort, decode, status
from gdbtools.arch.model import (
    Access,
    AccessKind,
    Cause,
    Fault,
    FaultKind,
    Hole,
    Mapped,
    Read,
    Refusal,
    Run,
    Transfer,
    Walk,
)
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from tests.arch.aarch64.truth.machine import (
    E0POE,
    E2H,
    EL1H,
    EL2H,
    EPAN,
    HPD0,
    PAN,
    PIE,
    POE,
    RW,
    S2_ROOT,
    SCTLR,
    TCR,
    TGE,
    UAO,
    VTCR,
    WXN,
    Memory,
    el1,
    el2,
    el2_vhe,
    guest,
    look,
    one_page,
    refusal,
)
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
READ, WRITE, EXECUTE = AccessKind.READ, AccessKind.WRITE, AccessKind.EXECUTE
ROOT, PA = 0x4000_0000, 0x8000_0000
TABLE, PAGE, BLOCK, AF = 0b11, 0b11, 0b01, 1 << 10
# TCR_EL1: T0SZ [5:0], TG0 [15:14], T1SZ [21:16], TG1 [31:30], IPS [34:32], TBI0 [37], DS [59].
TG0 = {4: 0 << 14, 16: 2 << 14, 64: 1 << 14}
TG1 = {4: 2 << 30, 16: 1 << 30, 64: 3 << 30}
DS, EPD0, E0PD0 = 1 << 59, 1 << 7, 1 << 55
# ID_AA64MMFR0_EL1: PARange [3:0], TGran16 [23:20], TGran4 [31:28]: all that there is, 52 bits.
WIDE = 6 | 2 << 20 | 1 << 28
# VTCR_EL2 without its T0SZ and SL0; SL0 is [7:6].
VTCR_BASE = VTCR & ~0xFF


def tcr(granule: int = 4, bits: int = 48, ips: int = 5, more: int = 0) -> int:
    return 64 - bits | 64 - bits << 16 | TG0[granule] | TG1[granule] | ips << 32 | more


def memory_of(words: dict[int, int]) -> Read:
    def read(pa: int, size_bytes: int) -> bytes:
        return b"".join(words.get(at, 0).to_bytes(8, "little") for at in range(pa, pa + size_bytes, 8))

    return read


def found(words: dict[int, int], va: int, name: str = "el1", **registers: int) -> Walk:
    values = {**el1(), "TTBR0_EL1": ROOT, "TTBR1_EL1": ROOT, **registers}
    return walk(ARM.regime_for(reader(values), va, name), va, memory_of(words))


def scanned(words: dict[int, int], **registers: int) -> list[Run | Hole]:
    values = {**el1(), "TTBR0_EL1": ROOT, **registers}
    return list(scan(ARM.regime_for(reader(values), 0, "el1"), memory_of(words)))


def stage2(words: dict[int, int], ipa: int, **registers: int) -> Walk:
    values = {**guest(), "VTTBR_EL2": ROOT, **registers}
    return walk(ARM.regime_for(reader(values), ipa, "stage2"), ipa, memory_of(words))


def page(leaf: int = 0, tables: int = 0, kind: AccessKind = READ, el: int = 1, pstate: int = EL1H,
         **registers: int) -> Refusal | None:  # fmt: skip
    """Ask about a page of raw leaf bits under level 0 table bits."""
    return refusal(one_page(leaf, el1(**registers), "el1", (tables, 0, 0)), kind, el, pstate)


# --- Geometry


def test_level_0_of_16k_at_48_bits_is_there() -> None:
    """Level 0 dropped for 16K/48-bit: an off-by-one at VA size = a level boundary + 1."""
    words = {ROOT + 8: 0x4001_0000 | TABLE, 0x4001_0000: 0x4001_4000 | TABLE, 0x4001_4000: PA | BLOCK | AF}
    walked = found(words, 1 << 47, TCR_EL1=tcr(16))
    assert [step.level.number for step in walked.steps] == [0, 1, 2]
    assert walked.outcome == Mapped(PA, 32 << 20)


def test_a_root_smaller_than_a_page_ends_where_it_ends() -> None:
    """A full granule read as the root when the root is smaller: phantom mappings from neighbouring objects."""
    words = {ROOT: PA | BLOCK | AF, ROOT + 16: PA | BLOCK | AF}
    assert [run.first for run in scanned(words, TCR_EL1=tcr(4, 31))] == [0]


def test_a_root_may_stand_at_64_bytes() -> None:
    """Root base truncated to 1 KiB or 4 KiB when 64-byte alignment is legal."""
    words = {ROOT + 0x40: PA | BLOCK | AF}
    assert found(words, 0, TCR_EL1=tcr(4, 33), TTBR0_EL1=ROOT + 0x40).outcome == Mapped(PA, 1 << 30)


def test_the_index_into_a_small_root_is_clamped_to_it() -> None:
    """A root index not clamped to the root's size: the upper half has ones above its size."""
    upper = (1 << 64) - (1 << 30)
    walked = found({ROOT + 8: PA | BLOCK | AF}, upper, TCR_EL1=tcr(4, 31))
    assert walked.steps[0].index == 1
    assert walked.outcome == Mapped(PA, 1 << 30)


def test_ttbr_is_not_masked_by_the_va_size() -> None:
    """TTBR masked by the VA size instead of the PA size."""
    far = 1 << 45
    assert found({far: PA | BLOCK | AF}, 0, TCR_EL1=tcr(4, 39), TTBR0_EL1=far).outcome == Mapped(PA, 1 << 30)


def test_asid_and_cnp_do_not_leak_into_the_base() -> None:
    """ASID or CnP bits leaking into the base."""
    ttbr = ROOT | 0xFFFF << 48 | 1
    assert found({ROOT: PA | BLOCK | AF}, 0, TCR_EL1=tcr(4, 39), TTBR0_EL1=ttbr).outcome == Mapped(PA, 1 << 30)


def test_the_two_halves_have_sizes_and_granules_of_their_own() -> None:
    """T0SZ assumed equal to T1SZ, TG0 to TG1 (they encode differently)."""
    mixed = 64 - 39 | 64 - 42 << 16 | TG0[4] | TG1[64] | 5 << 32
    words = {ROOT: PA | BLOCK | AF, 0x4100_0000: PA | BLOCK | AF}
    low = found(words, 0, TCR_EL1=mixed, TTBR1_EL1=0x4100_0000)
    high = found(words, (1 << 64) - (1 << 42), TCR_EL1=mixed, TTBR1_EL1=0x4100_0000)
    assert (low.outcome, high.outcome) == (Mapped(PA, 1 << 30), Mapped(PA, 512 << 20))


def test_lpa2_has_a_level_minus_1() -> None:
    """Level -1 skipped with LPA2."""
    words = {ROOT + 8: 0x4000_1000 | TABLE, 0x4000_1000: 0x4000_2000 | TABLE, 0x4000_2000: PA | BLOCK | AF}
    walked = found(words, 1 << 48, TCR_EL1=tcr(4, 52, 6, DS), ID_AA64MMFR0_EL1=WIDE)
    assert [step.level.number for step in walked.steps] == [-1, 0, 1]
    assert found(words, 0, TCR_EL1=tcr(4, 52, 6, DS), ID_AA64MMFR0_EL1=WIDE).outcome == Fault(
        FaultKind.TRANSLATION, 1, -1
    )


@pytest.mark.parametrize(("bits", "levels"), [(48, [1, 2, 3]), (42, [2, 3]), (29, [3])])
def test_64k_has_as_many_levels_as_its_size_needs(bits: int, levels: list[int]) -> None:
    """Level count of 64K hard-coded."""
    regime = ARM.regime_for(reader(el1(TCR_EL1=tcr(64, bits))), 0, "el1")
    assert [level.number for level in regime.levels] == levels


def test_a_concatenated_root_has_more_entries_than_one_table() -> None:
    """Stage-2 concatenated roots cut at 512 entries."""
    ipa, entry = 3 << 39, 3 * 512
    walked = stage2({ROOT + entry * 8: PA | BLOCK | AF}, ipa, VTCR_EL2=VTCR_BASE | 64 - 42 | 1 << 6)
    assert walked.steps[0].index == entry
    assert walked.outcome == Mapped(PA, 1 << 30)


@pytest.mark.parametrize(("sl0", "bits", "start"), [(0, 34, 2), (1, 34, 1), (1, 40, 1), (2, 48, 0)])
def test_stage_2_starts_where_sl0_says(sl0: int, bits: int, start: int) -> None:
    """Start level taken from the granule instead of SL0/T0SZ."""
    assert stage2({}, 0, VTCR_EL2=VTCR_BASE | 64 - bits | sl0 << 6).outcome == Fault(FaultKind.TRANSLATION, 2, start)


def test_a_starting_level_that_the_size_does_not_fit_is_a_fault_at_level_0() -> None:
    """Start level taken from the granule instead of SL0/T0SZ: the two may contradict each other."""
    assert stage2({}, 0, VTCR_EL2=VTCR_BASE | 64 - 40).outcome == Fault(FaultKind.TRANSLATION, 2, 0)


# --- Addresses


@pytest.mark.parametrize("sh", [0b01 << 8, 0b11 << 8])
def test_without_ds_the_sh_bits_are_no_part_of_the_address_whatever_the_id_register_says(sh: int) -> None:
    """FEAT_LPA taken to mean LPA2: SH bits printed as PA[51:50]; the test is TCR.DS, not the ID register."""
    words = {ROOT: PA | BLOCK | AF | sh}
    narrow, wide = tcr(4, 39, 6), tcr(4, 39, 6, DS)
    assert found(words, 0, TCR_EL1=narrow, ID_AA64MMFR0_EL1=WIDE).outcome == Mapped(PA, 1 << 30)
    assert found(words, 0, TCR_EL1=wide, ID_AA64MMFR0_EL1=WIDE).outcome == Mapped(PA | sh >> 8 << 50, 1 << 30)


def test_at_stage_2_it_is_vtcr_ds() -> None:
    """... (VTCR.DS), not the ID register."""
    words, geometry = {ROOT: PA | BLOCK | AF | 0b11 << 8}, VTCR_BASE & ~(7 << 16) | 6 << 16 | 64 - 39 | 1 << 6
    assert stage2(words, 0, VTCR_EL2=geometry, ID_AA64MMFR0_EL1=WIDE).outcome == Mapped(PA, 1 << 30)
    ds = stage2(words, 0, VTCR_EL2=geometry | 1 << 32, ID_AA64MMFR0_EL1=WIDE)
    assert ds.outcome == Mapped(PA | 3 << 50, 1 << 30)


def test_upper_attributes_are_no_part_of_the_address() -> None:
    """PA mask from the VA width, so DBM and GP leak into the PA."""
    assert found({ROOT: PA | BLOCK | AF | 0x7FF << 50 | 1 << 63}, 0, TCR_EL1=tcr(4, 39)).outcome == Mapped(PA, 1 << 30)


def test_a_64k_block_keeps_its_high_address_bits() -> None:
    """PA[51:48] of a 64K block lost by masking before extracting."""
    words = {ROOT: PA | BLOCK | AF | 0b1001 << 12}
    walked = found(words, 0, TCR_EL1=tcr(64, 42, 6), ID_AA64MMFR0_EL1=WIDE)
    assert walked.outcome == Mapped(PA | 0b1001 << 48, 512 << 20)


@pytest.mark.parametrize(("granule", "more"), [(64, 0), (4, DS)])
def test_a_52_bit_root_has_its_high_bits_in_5_to_2(granule: int, more: int) -> None:
    """TTBR BADDR[51:48] in bits [5:2]."""
    root = 0b1010 << 48 | ROOT
    ttbr = ROOT | 0b1010 << 2
    walked = found({root: PA | BLOCK | AF}, 0, TCR_EL1=tcr(granule, {64: 42, 4: 39}[granule], 6, more),
                   TTBR0_EL1=ttbr, ID_AA64MMFR0_EL1=WIDE)  # fmt: skip
    assert walked.steps[0].pa == root
    assert isinstance(walked.outcome, Mapped)


def test_an_output_beyond_ips_or_ps_is_an_address_size_fault() -> None:
    """Output address beyond IPS/PS not reported as an address-size fault."""
    words = {ROOT: 1 << 44 | BLOCK | AF}
    assert found(words, 0, TCR_EL1=tcr(4, 39, 4)).outcome == Fault(FaultKind.ADDRESS_SIZE, 1, 1)
    geometry = VTCR_BASE & ~(7 << 16) | 4 << 16 | 64 - 39 | 1 << 6
    assert stage2(words, 0, VTCR_EL2=geometry).outcome == Fault(FaultKind.ADDRESS_SIZE, 2, 1)


def test_bit_55_chooses_the_half() -> None:
    """Selecting TTBR by bit 63 where TBI makes it bit 55."""
    words = {ROOT: PA | BLOCK | AF}
    tbi = tcr(4, 39, more=1 << 37 | 1 << 38)
    low = found(words, 0xFF00_0000_0000_0000, TCR_EL1=tbi, TTBR1_EL1=0x4800_0000)
    high = found(words, 0x00FF_FF80_0000_0000, TCR_EL1=tbi, TTBR0_EL1=0x4800_0000)
    assert (low.regime.first, low.outcome) == (0, Mapped(PA, 1 << 30))
    assert (high.regime.last, high.outcome) == ((1 << 64) - 1, Mapped(PA, 1 << 30))


# --- Entries


def two_levels(last: int, **more: int) -> dict[int, int]:
    """Tables of 30 bits: level 2 at ROOT, level 3 at 0x40001000, `last` its first entry."""
    return {ROOT: 0x4000_1000 | TABLE, 0x4000_1000: last, 0x4000_1008: PA | PAGE | AF}


def test_the_reserved_type_at_the_last_level_is_no_page_and_spoils_nothing_else() -> None:
    """Reserved 0b01 at the last level accepted as a page, or fatal to the whole dump."""
    words = two_levels(PA | 0b01 | AF)
    assert found(words, 0, TCR_EL1=tcr(4, 30)).outcome == Fault(FaultKind.TRANSLATION, 1, 3)
    assert [run.first for run in scanned(words, TCR_EL1=tcr(4, 30))] == [0x1000]


@pytest.mark.parametrize(
    ("granule", "bits", "ips", "more", "level", "legal"),
    [
        (4, 48, 5, 0, 0, False), (4, 48, 6, DS, 0, True), (4, 39, 5, 0, 1, True), (16, 47, 5, 0, 1, False),
        (16, 47, 6, DS, 1, True), (16, 36, 5, 0, 2, True), (64, 48, 5, 0, 1, False), (64, 48, 6, 0, 1, True),
        (64, 42, 5, 0, 2, True), (4, 52, 6, DS, -1, False), (16, 48, 5, 0, 0, False), (16, 48, 6, DS, 0, False),
    ],
)  # fmt: skip
def test_blocks_stand_only_where_they_may(
    granule: int, bits: int, ips: int, more: int, level: int, legal: bool
) -> None:
    """Blocks at illegal levels: 0 unless 4K with DS; 1 at 16K without DS; 1 at 64K without LPA."""
    wide = WIDE if ips == 6 else WIDE & ~0xF | 5
    walked = found({ROOT: BLOCK | AF}, 0, TCR_EL1=tcr(granule, bits, ips, more), ID_AA64MMFR0_EL1=wide)
    assert walked.steps[0].level.number == level
    assert isinstance(walked.outcome, Mapped) if legal else walked.outcome == Fault(FaultKind.TRANSLATION, 1, level)


def test_a_clear_access_flag_is_shown_and_is_not_unmapped() -> None:
    """AF=0 shown as unmapped, or AF never shown."""
    words = two_levels(PA | PAGE)
    walked = found(words, 0, TCR_EL1=tcr(4, 30))
    assert walked.outcome == Fault(FaultKind.ACCESS_FLAG, 1, 3)
    assert walked.destination == Mapped(PA, 4096)
    run = scanned(words, TCR_EL1=tcr(4, 30))[0]
    assert isinstance(run, Run)
    assert (run.output, run.fault, run.attributes.accessed) == (PA, walked.outcome, False)


def test_bit_10_of_a_table_descriptor_is_not_the_access_flag() -> None:
    """AF looked at in table descriptors."""
    words = two_levels(PA | PAGE | AF)
    assert not words[ROOT] & AF
    assert found(words, 0, TCR_EL1=tcr(4, 30)).outcome == Mapped(PA, 4096)


def test_contiguous_runs_are_checked() -> None:
    """Contiguous runs trusted unchecked."""
    words = two_levels(PA | PAGE | AF | 1 << 52)
    checked = contiguity(found(words, 0, TCR_EL1=tcr(4, 30)), memory_of(words))
    assert checked is not None
    assert (checked.breach, checked.pa) == (Breach.NOT_CONTIGUOUS, 0x4000_1008)


@pytest.mark.parametrize("entry", [0x1234_5678_9ABC_DEF0, 0x4000_1000 | 0b10, (1 << 64) - 2])
def test_what_is_not_valid_is_not_followed(entry: int) -> None:
    """Swap or PROT_NONE entries followed as tables because only "non-zero" was tested."""
    words = {**two_levels(PA | PAGE | AF), ROOT: entry}
    assert found(words, 0, TCR_EL1=tcr(4, 30)).outcome == Fault(FaultKind.TRANSLATION, 1, 2)
    assert scanned(words, TCR_EL1=tcr(4, 30)) == []


# --- Permissions


def test_pxntable_is_looked_at() -> None:
    """PXNTable lost to operator precedence."""
    refused = page(tables=1 << 59, kind=EXECUTE)
    assert refused is not None
    assert (refused.decider.field.name, page(kind=EXECUTE)) == ("PXNTable", None)


def test_aptable_is_looked_at() -> None:
    """APTable ignored."""
    assert page(1 << 6, kind=WRITE, el=0, pstate=0) is None
    assert page(1 << 6, tables=1 << 61, kind=WRITE, el=0, pstate=0) is not None
    assert page(tables=1 << 62, kind=WRITE) is not None


def test_hpd_and_epd_are_looked_at() -> None:
    """HPD ignored, EPD ignored."""
    assert page(tables=1 << 62, kind=WRITE, TCR_EL1=TCR | HPD0) is None
    assert found({ROOT: PA | BLOCK | AF}, 0, TCR_EL1=tcr(4, 39, more=EPD0)).outcome == Fault(
        FaultKind.TRANSLATION, 1, 0
    )


@pytest.mark.parametrize(("ap2", "dbm", "dirty"), [(0, 0, None), (1, 0, None), (0, 1, True), (1, 1, False)])
def test_dirty_at_stage_1_is_dbm_with_ap2_clear(ap2: int, dbm: int, dirty: bool | None) -> None:
    """DBM printed as "dirty"."""
    said = one_page(ap2 << 7 | dbm << 51, el1(), "el1").attributes
    assert said is not None
    assert said.dirty is dirty


@pytest.mark.parametrize(("write", "dbm", "dirty"), [(0, 0, None), (1, 0, None), (1, 1, True), (0, 1, False)])
def test_dirty_at_stage_2_is_dbm_with_s2ap1_set(write: int, dbm: int, dirty: bool | None) -> None:
    """... at stage 2 DBM with S2AP[1] set."""
    words = {ROOT: PA | BLOCK | AF | 0xF << 2 | 1 << 6 | write << 7 | dbm << 51}
    said = stage2(words, 0, VTCR_EL2=VTCR_BASE | 64 - 39 | 1 << 6).attributes
    assert said is not None
    assert said.dirty is dirty


def test_what_el0_may_write_is_execute_never_above_it() -> None:
    """EL0-writable implies PXN forgotten."""
    assert page(1 << 6, kind=EXECUTE) is not None
    assert page(1 << 6 | 1 << 7, kind=EXECUTE) is None


def test_wxn_is_looked_at() -> None:
    """WXN forgotten."""
    assert page(kind=EXECUTE, SCTLR_EL1=SCTLR | WXN) is not None
    assert page(1 << 7, kind=EXECUTE, SCTLR_EL1=SCTLR | WXN) is None


def test_pan_is_looked_at() -> None:
    """PAN forgotten."""
    assert page(1 << 6, pstate=EL1H | PAN) is not None
    assert page(0, pstate=EL1H | PAN) is None


def test_epan_is_looked_at() -> None:
    """EPAN forgotten: it covers what EL0 may only execute."""
    assert page(0, pstate=EL1H | PAN, SCTLR_EL1=SCTLR | EPAN) is not None
    assert page(1 << 54, pstate=EL1H | PAN, SCTLR_EL1=SCTLR | EPAN) is None


def test_uao_is_looked_at() -> None:
    """UAO forgotten: with it, LDTR is what LDR is."""
    kernels = one_page(0, el1(), "el1")
    assert refusal(kernels, READ, 1, EL1H, unprivileged=True) is not None
    assert refusal(kernels, READ, 1, EL1H | UAO, unprivileged=True) is None


def test_e0pd_is_looked_at() -> None:
    """E0PD forgotten: a translation fault at level 0, whatever the tables hold."""
    walked = one_page(1 << 6, el1(TCR_EL1=TCR | E0PD0), "el1")
    refused = refusal(walked, READ, 0, 0)
    assert refused is not None
    assert refused.fault == Fault(FaultKind.TRANSLATION, 1, 0)
    assert refusal(walked, READ, 1, EL1H) is None


def test_with_pie_ap_and_xn_are_an_index() -> None:
    """PIE unknown to everyone: once TCR2.PIE is on, the AP and XN bits are an index."""
    # PIIndex is {54, 53, 51, 6}: AP=0b01 with UXN and PXN set is index 0b1101; it grants read and execute.
    leaf = 1 << 6 | 1 << 54 | 1 << 53
    registers = {"TCR2_EL1": PIE, "PIR_EL1": 0b1010 << 4 * 0b1101}
    assert page(leaf, kind=EXECUTE, **registers) is None
    assert page(leaf, kind=WRITE, **registers) is not None
    assert page(leaf, kind=EXECUTE) is not None


def test_with_poe_an_overlay_takes_away() -> None:
    """POE unknown to everyone."""
    # POIndex is [62:60]; overlay 5 grants reading alone.
    leaf = 5 << 60 | 1 << 54
    assert page(leaf, kind=WRITE, TCR2_EL1=POE, POR_EL1=0b0001 << 20) is not None
    assert page(leaf, kind=READ, TCR2_EL1=POE, POR_EL1=0b0001 << 20) is None
    assert page(leaf, kind=WRITE, TCR2_EL1=E0POE, POR_EL0=0b0001 << 20) is None


def test_at_el2_the_host_regime_is_chosen_by_e2h_alone() -> None:
    """EL2&0 selected by E2H *and* TGE (at EL2 it is E2H alone)."""
    for hcr, name in ((RW, "EL2 "), (RW | TGE, "EL2 "), (RW | E2H, "EL2&0 "), (RW | E2H | TGE, "EL2&0 ")):
        regime = ARM.regime_for(reader({**el2_vhe(HCR_EL2=hcr), "cpsr": EL2H}), 0)
        assert regime.name.startswith(name), hex(hcr)
    # At EL0 it is both.
    for hcr, name in ((RW | E2H, "EL1&0 "), (RW | E2H | TGE, "EL2&0 ")):
        regime = ARM.regime_for(reader({**el1(), **el2_vhe(HCR_EL2=hcr), "cpsr": 0}), 0)
        assert regime.name.startswith(name), hex(hcr)


# --- Syndromes


DATA_SAME, DATA_LOWER, FETCH_LOWER = 0b100101 << 26, 0b100100 << 26, 0b100000 << 26


def test_cache_maintenance_is_not_a_write() -> None:
    """WnR is 1 for every cache-maintenance fault (CM=1): it is *not* a write.  OSv's crash: ESR 0x9600014b."""
    assert decode(0x9600014B).access_kind is AccessKind.MAINTENANCE
    assert decode(0x9600014B & ~(1 << 8)).access_kind is WRITE


def test_a_syndrome_with_s1ptw_is_the_fault_that_the_walk_predicts() -> None:
    """S1PTW: the two stages are one type, so that the syndrome and the walk can be compared."""
    memory = Memory()
    memory.stage1(0)
    walked = look(memory, guest(), "el1")
    assert walked.outcome == Fault(FaultKind.TRANSLATION, 2, 1, s1ptw=True)
    assert decode(DATA_LOWER | 1 << 7 | 0b000101).fault == walked.outcome


def test_a_stage_2_fault_that_el2_took_agrees_with_the_tables() -> None:
    """HPFAR and stages: what a guest's access raises at EL2 is stage 2's, with or without S1PTW."""
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    memory.identity(0b1111 << 2 | 1 << 6)
    registers = {
        **el2(), **guest(), "cpsr": EL2H, "VBAR_EL2": 0, "pc": 0x400, "ESR_EL2": DATA_LOWER | 0b000111,
        "FAR_EL2": 0x5000, "ELR_EL2": 0x1000, "SPSR_EL2": EL1H, "HPFAR_EL2": 0x6543_2000 >> 12 << 4,
    }  # fmt: skip
    # The 2MB around 0x65432000 has no level 3 table yet: give it one.
    memory.stage2(0, 0x6543_3000, 0x7000_0000)
    assert look(memory, registers, "el1", 0x5000).outcome == Fault(FaultKind.TRANSLATION, 2, 3)
    diagnosis = diagnose(ARM, reader(registers), memory.read)
    assert diagnosis.verdict is Verdict.TABLES_AGREE
    assert S2_ROOT in memory.tables


@pytest.mark.parametrize("ec", [DATA_SAME, FETCH_LOWER])
def test_fnv_says_that_there_is_no_address_and_only_for_external_aborts(ec: int) -> None:
    """FnV."""
    assert not decode(ec | 1 << 10 | 0b010000).address_valid
    assert decode(ec | 1 << 10 | 0b000111).address_valid


def test_without_isv_nothing_is_said_of_the_register() -> None:
    """ISV."""
    without, with_isv = decode(DATA_SAME | 5 << 16), decode(DATA_SAME | 1 << 24 | 2 << 22 | 5 << 16)
    assert (without.transfer, without.word.reserved) == (None, 4 << 16), "bits [17:16] have another meaning then"
    assert with_isv.transfer == Transfer(4, "W5", signed=False, ordered=False)


def test_iss2_is_taken_apart() -> None:
    """ISS2 (Overlay, DirtyBit, NoTagAccess, GCS, AssuredOnly); TopLevel is not decoded yet."""
    told = {each.field.name: each.value for each in decode(DATA_SAME | 0b11011 << 37).word.decoded()}
    assert {name for name in ("DirtyBit", "Overlay", "GCS", "TagAccess") if told.get(name)} == {
        "DirtyBit", "Overlay", "GCS", "TagAccess",
    }  # fmt: skip
    assert told["AssuredOnly"] == 0
    fetch = {each.field.name: each.value for each in InstructionAbort(FETCH_LOWER | 1 << 38).decoded()}
    assert (fetch["Overlay"], fetch["AssuredOnly"]) == (1, 0)


def test_top_level_is_bit_21_of_a_permission_fault_without_isv() -> None:
    """ISS2 (... TopLevel): AArch64.FaultSyndrome puts it into ISS[21], which is SSE only while ISV is 1."""
    data, fetch = decode(DATA_LOWER | 1 << 21 | 0b001111).word, decode(FETCH_LOWER | 1 << 21 | 0b001111).word
    for word in (data, fetch):
        told = [each.field.name for each in word.decoded() if each.field.mask == 1 << 21 and each.applicable]
        assert told == ["TopLevel"]


def test_level_minus_1_has_codes_of_its_own() -> None:
    """Level -1 codes are 0b101011 and 0b101001, not arithmetic on the level."""
    assert decode(DATA_SAME | 0b101011).fault == Fault(FaultKind.TRANSLATION, 1, -1)
    assert decode(DATA_SAME | 0b101001).fault == Fault(FaultKind.ADDRESS_SIZE, 1, -1)
    assert status(Fault(FaultKind.TRANSLATION, 1, -1)) == 0b101011
    assert status(Fault(FaultKind.ADDRESS_SIZE, 1, -1)) == 0b101001


# --- Manners, where they are arch's


def test_a_read_error_is_a_hole_in_the_evidence_and_never_unmapped() -> None:
    """Swallowing a read error so that a hole in the evidence reads "unmapped"."""

    def gone(pa: int, size_bytes: int) -> bytes:
        raise Unreadable(pa, size_bytes, "gone")

    regime = ARM.regime_for(reader(el1()), 0, "el1")
    with pytest.raises(Unreadable):
        walk(regime, 0, gone)
    assert [type(each) for each in scan(regime, gone)] == [Hole]


def test_nothing_but_reading_is_asked_of_the_machine() -> None:
    """Rewriting the guest's CPSR just to look: what arch is handed can only read."""
    asked: list[str] = []

    def register(name: str) -> int:
        asked.append(name)
        return reader(el1())(name)

    walked = walk(ARM.regime_for(register, 0), 0, memory_of({}))
    ARM.check(walked, Access(READ, 0), 0)
    assert "TCR_EL1" in asked


def test_importing_arch_needs_no_gdb_and_says_nothing() -> None:
    """Work at `source` time; a parser that calls sys.exit inside GDB."""
    code = "import sys, gdbtools.arch, gdbtools.commands; assert 'gdb' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- Rules that were declared and not applied


@pytest.mark.parametrize(("more", "fetched"), [(1 << 60, VMSACause.LOGICAL_TAG_FETCH), (1 << 60 | 1 << 37, None)])
def test_a_fetch_has_no_logical_tag(more: int, fetched: Cause | None) -> None:
    """MTX0 [60] leaves [59:56] out of the address of data only, unless TBI0 [37] leaves them out of all."""
    walked = found({ROOT: PA | BLOCK | AF}, 0x0B << 56, TCR_EL1=tcr(4, 39, 5, more))
    assert ARM.check(walked, Access(READ, 1), EL1H) is None
    refused = ARM.check(walked, Access(EXECUTE, 1), EL1H)
    assert (refused and refused.decider.cause) is fetched
    assert refused is None or refused.fault == Fault(FaultKind.TRANSLATION, 1, 0)


def test_a_fetch_from_device_memory_may_be_refused() -> None:
    """CONSTRAINED UNPREDICTABLE: a permission fault, or as Normal Non-cacheable memory."""
    device = found({ROOT: PA | BLOCK | AF}, 0, TCR_EL1=tcr(4, 39), MAIR_EL1=0xFF00)
    normal = found({ROOT: PA | BLOCK | AF}, 0, TCR_EL1=tcr(4, 39), MAIR_EL1=0xFF)
    assert ARM.check(device, Access(EXECUTE, 1), EL1H) is None
    perhaps = ARM.may_refuse(device, Access(EXECUTE, 1))
    assert perhaps is not None
    assert perhaps.fault == Fault(FaultKind.PERMISSION, 1, 1)
    assert ARM.may_refuse(device, Access(READ, 1)) is None
    assert ARM.may_refuse(normal, Access(EXECUTE, 1)) is None


@pytest.mark.parametrize(("pa_range", "outcome"), [(5, Fault(FaultKind.TRANSLATION, 2, 0)), (6, Mapped(PA, 1 << 36))])
def test_stage_2_at_16k_starts_at_level_0_with_52_bits_only(pa_range: int, outcome: object) -> None:
    words = {ROOT: 0x4001_0000 | TABLE, 0x4001_0000: BLOCK | AF}
    geometry = VTCR_BASE & ~(3 << 14) | 2 << 14 | 16 | 3 << 6 | 1 << 32
    sizes = WIDE & ~0xF | pa_range | 3 << 32
    walked = stage2(words, 0, VTCR_EL2=geometry, ID_AA64MMFR0_EL1=sizes)
    assert walked.outcome == (outcome if isinstance(outcome, Fault) else Mapped(0, 1 << 36))


@pytest.mark.parametrize("mode", [0b100, 0b110])
def test_only_an_ldc_loads_a_literal(mode: int) -> None:
    """AM of an STC: "this encoding is reserved"."""
    esr = 0x06 << 26 | 1 << 25 | mode << 1
    stored, loaded = decode(esr), decode(esr | 1)
    am = {each.field.name: each.meaning for each in stored.word.decoded()}["AM"]
    assert (am, stored.instruction) == ("", "STC p14, c5")
    assert "literal" in {each.field.name: each.meaning for each in loaded.word.decoded()}["AM"]
