"""Stage 2 permissions, direct and indirect, and what stage 2 says to the fetch of a stage 1 descriptor.

DDI 0487, "Stage 2 data accesses", "Stage 2 instruction execution", "Stage 2 Indirect permissions", and
AArch64.S2DirectBasePermissions, S2IndirectBasePermissions, S2ApplyOutputPerms, S2CheckPermissions, S2Translate (Arm's
pseudocode for Armv9.4, in rems-project/sail-arm).  Checked against QEMU target/arm/ptw.c (get_S2prot,
get_S2prot_indirect).  KVM reports a stage 2 fault on a walk with the level of the stage 1 descriptor; the pseudocode
and QEMU with the level of the stage 2 lookup, and so do these.
"""

from __future__ import annotations

import pytest

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.model import AccessKind, Cause, Fault, FaultKind, Mapped, Walk
from tests.arch.aarch64.truth.machine import (
    AF,
    EL1H,
    FEATURES,
    FWB,
    HA,
    HD,
    IPA,
    MMFR1,
    PA,
    PTW,
    RW,
    S1_ROOT,
    S2_HA,
    S2_HD,
    S2_ROOT,
    S2PIE,
    TCR,
    VA,
    VM,
    VTCR,
    Memory,
    allowed,
    granted,
    guest,
    look,
    met,
    refusal,
    settle,
)

READ, WRITE, EXECUTE = AccessKind.READ, AccessKind.WRITE, AccessKind.EXECUTE

# MemAttr [5:2], S2AP [7:6], SH [9:8], DBM [51], XN [54:53]; with S2PIE, s2dirty [7].
NORMAL = 0b1111 << 2 | 0b11 << 8
DBM = 1 << 51
DIRTY = 1 << 7
READ_ONLY_TABLES = NORMAL | 0b01 << 6


def direct(s2ap: int, xn: int = 0b00, dbm: int = 0) -> int:
    return NORMAL | s2ap << 6 | xn << 53 | dbm * DBM


def indirect(index: int, dirty: int = 1) -> int:
    """PIIndex is bits {54, 53, 51, 6}."""
    bits = index >> 3 << 54 | (index >> 2 & 1) << 53 | (index >> 1 & 1) << 51 | (index & 1) << 6
    return NORMAL | bits | dirty * DIRTY


def perm(index: int, value: int, elsewhere: int = 0) -> int:
    return sum((value if each == index else elsewhere) << 4 * each for each in range(16))


def through(stage2: int, registers: dict[str, int], stage1: int = 0, tables: int = READ_ONLY_TABLES) -> Walk:
    """Walk to a page through both stages, each with one leaf of these bits; `tables` lead to stage 1's tables."""
    memory = Memory()
    memory.stage1(stage1, output=IPA)
    memory.identity(tables)
    memory.stage2(stage2)
    return look(memory, registers, "el1")


# Stage 1 leaves that refuse nothing to the level that asks: AP[2:1] [7:6] is 0b00 for EL1, 0b01 for EL0.
ASKING = ((1, EL1H, 0b00 << 6), (0, 0, 0b01 << 6))

S2AP = {0b00: "--", 0b01: "r-", 0b10: "-w", 0b11: "rw"}
# XN[1:0]: executable at EL1, at EL0; FEAT_XNX.
XNX = {0b00: "xx", 0b01: "-x", 0b10: "--", 0b11: "x-"}
# Without FEAT_XNX bit 53 is RES0.
XN = {0b00: "xx", 0b01: "xx", 0b10: "--", 0b11: "--"}


@pytest.mark.parametrize(
    ("mmfr1", "executable"),
    [pytest.param(MMFR1, XNX, id="FEAT_XNX"), pytest.param(MMFR1 & ~(0xF << 28), XN, id="no FEAT_XNX")],
)
def test_s2ap_and_xn(mmfr1: int, executable: dict[int, str]) -> None:
    wrong = []
    for s2ap, data in S2AP.items():
        for xn, fetch in executable.items():
            for position, (el, mode, stage1) in enumerate(ASKING):
                found = through(direct(s2ap, xn), guest(ID_AA64MMFR1_EL1=mmfr1), stage1)
                # Executing needs no permission to read.
                expected = data + fetch[position]
                row = f"S2AP={s2ap:02b} XN={xn:02b} EL{el}"
                if (said := allowed(found, el, mode, stage=2)) != expected:
                    wrong.append(f"{row}: {said}, not {expected}")
                if (said := granted(found, el)) != expected:
                    wrong.append(f"{row}: attributes give {said}, not {expected}")
    settle(wrong)


def test_both_stages_have_to_allow_it() -> None:
    # AP=0b11 at stage 1: read-only for both; S2AP=0b10 at stage 2: write-only.
    found = through(direct(0b10), guest(), 0b11 << 6)
    assert met(found, READ, 1, EL1H) == Fault(FaultKind.PERMISSION, 2, 3)
    assert met(found, WRITE, 1, EL1H) == Fault(FaultKind.PERMISSION, 1, 3)
    assert met(found, EXECUTE, 1, EL1H) is None


def test_stage_1_is_asked_first() -> None:
    found = through(direct(0b00, 0b10), guest(), 0b10 << 6 | 0b11 << 53)
    assert met(found, WRITE, 1, EL1H) == Fault(FaultKind.PERMISSION, 1, 3)
    assert met(found, READ, 0, 0) == Fault(FaultKind.PERMISSION, 1, 3)
    assert met(found, READ, 1, EL1H) == Fault(FaultKind.PERMISSION, 2, 3)


def test_stage_2_refuses_nothing_where_it_is_off() -> None:
    memory = Memory()
    memory.stage1(0, output=PA)
    found = look(memory, guest(HCR_EL2=RW), "el1")
    assert found.outcome == Mapped(PA, 1 << 12)
    assert allowed(found, 1, EL1H) == "rwx"


def test_both_stages_lead_to_the_physical_page() -> None:
    found = through(direct(0b11), guest())
    assert found.outcome == Mapped(PA, 1 << 12)


# (HAFDBS, VTCR_EL2.HA, VTCR_EL2.HD): does DBM make a page writable that S2AP[1] says is not.
MANAGED = {(2, 1, 1): True, (2, 1, 0): False, (2, 0, 1): False, (2, 0, 0): False, (1, 1, 1): False, (0, 1, 1): False}


def test_dbm_grants_writes_where_hardware_manages_dirty_state() -> None:
    wrong = []
    for (hafdbs, ha, hd), managed in MANAGED.items():
        registers = guest(VTCR_EL2=VTCR | ha * S2_HA | hd * S2_HD, ID_AA64MMFR1_EL1=MMFR1 & ~0xF | hafdbs)
        for dbm in (0, 1):
            for s2ap in S2AP:
                writable = bool(s2ap & 0b10 or (dbm and managed))
                found = through(direct(s2ap, dbm=dbm), registers)
                if (said := allowed(found, 1, EL1H, stage=2)[1] == "w") != writable:
                    wrong.append(f"HAFDBS={hafdbs} HA={ha} HD={hd} DBM={dbm} S2AP={s2ap:02b}: {said}, not {writable}")
    settle(wrong)


def test_stage_1s_controls_do_not_manage_stage_2() -> None:
    found = through(direct(0b01, dbm=1), guest(TCR_EL1=TCR | HA | HD))
    assert met(found, WRITE, 1, EL1H) == Fault(FaultKind.PERMISSION, 2, 3)


@pytest.mark.parametrize(
    ("s2ap", "dbm", "dirty"), [(0b01, 1, False), (0b11, 1, True), (0b10, 1, True), (0b11, 0, None), (0b01, 0, None)]
)
def test_dirty_at_stage_2_is_dbm_with_s2ap1_set(s2ap: int, dbm: int, dirty: bool | None) -> None:
    memory = Memory()
    memory.stage2(direct(s2ap, dbm=dbm))
    attributes = look(memory, guest(VTCR_EL2=VTCR | S2_HA | S2_HD), "stage2", IPA).attributes
    assert attributes is not None
    assert attributes.dirty is dirty


# S2PIR_EL2.Perm<m>: at EL1, at EL0; may a stage 1 walk read.  MRO ("mostly read-only") is read-only for everything but
# hardware's update of a table and the RCW instructions.
S2_ENCODINGS = {
    0b0000: ("---", "---", False),
    0b0001: ("---", "---", False),  # reserved
    0b0010: ("r--", "r--", True),  # MRO
    0b0011: ("r--", "r--", True),  # MRO-TL1
    0b0100: ("-w-", "-w-", False),
    0b0101: ("---", "---", False),  # reserved
    0b0110: ("r--", "r--", True),  # MRO-TL0
    0b0111: ("r--", "r--", True),  # MRO-TL01
    0b1000: ("r--", "r--", True),
    0b1001: ("r--", "r-x", True),
    0b1010: ("r-x", "r--", True),
    0b1011: ("r-x", "r-x", True),
    0b1100: ("rw-", "rw-", True),
    0b1101: ("rw-", "rwx", True),
    0b1110: ("rwx", "rw-", True),
    0b1111: ("rwx", "rwx", True),
}
INDIRECT_TABLES = indirect(0)
"""Stage 1's tables in memory that Perm0 is for."""


def test_indirect_permissions() -> None:
    wrong = []
    for code, expected in S2_ENCODINGS.items():
        for index in range(1, 16):
            for position, (el, mode, stage1) in enumerate(ASKING):
                registers = guest(VTCR_EL2=VTCR | S2PIE, S2PIR_EL2=perm(index, code) | 0b1000)
                found = through(indirect(index), registers, stage1, INDIRECT_TABLES)
                row = f"S2PIR={code:04b} PIIndex={index:04b} EL{el}"
                if (said := allowed(found, el, mode, stage=2)) != expected[position]:
                    wrong.append(f"{row}: {said}, not {expected[position]}")
                if (said := granted(found, el)) != expected[position]:
                    wrong.append(f"{row}: attributes give {said}, not {expected[position]}")
    settle(wrong)


def test_the_index_is_bits_54_53_51_and_6() -> None:
    wrong = []
    for index in range(16):
        registers = guest(VTCR_EL2=VTCR | S2PIE, S2PIR_EL2=perm(index, 0b1111, 0b1000))
        for asked in range(16):
            found = through(indirect(asked), registers, 0, INDIRECT_TABLES)
            expected = "rwx" if asked == index else "r--"
            if (said := allowed(found, 1, EL1H, stage=2)) != expected:
                wrong.append(f"Perm{index} set, PIIndex={asked:04b}: {said}, not {expected}")
    settle(wrong)


def test_a_clean_page_refuses_writes_unless_hardware_marks_it_dirty() -> None:
    wrong = []
    for (hafdbs, ha, hd), managed in MANAGED.items():
        for dirty in (0, 1):
            for code in (0b0100, 0b1100, 0b1111, 0b1000):
                registers = guest(
                    VTCR_EL2=VTCR | S2PIE | ha * S2_HA | hd * S2_HD,
                    S2PIR_EL2=perm(9, code) | 0b1000,
                    ID_AA64MMFR1_EL1=MMFR1 & ~0xF | hafdbs,
                )
                expected = S2_ENCODINGS[code][0]
                if not dirty and not managed:
                    expected = expected[0] + "-" + expected[2]
                found = through(indirect(9, dirty), registers, 0, INDIRECT_TABLES)
                if (said := allowed(found, 1, EL1H, stage=2)) != expected:
                    wrong.append(f"HAFDBS={hafdbs} HA={ha} HD={hd} [7]={dirty} {code:04b}: {said}, not {expected}")
    settle(wrong)


@pytest.mark.parametrize(
    ("code", "dirty", "cause"), [(0b1000, 0, VMSACause.BASE_PERMISSION), (0b1100, 0, VMSACause.NOT_DIRTY)]
)
def test_the_dirty_state_refuses_only_what_the_base_allows(code: int, dirty: int, cause: Cause) -> None:
    registers = guest(VTCR_EL2=VTCR | S2PIE, S2PIR_EL2=perm(9, code) | 0b1000)
    refused = refusal(through(indirect(9, dirty), registers, 0, INDIRECT_TABLES), WRITE, 1, EL1H)
    assert refused is not None
    assert refused.decider.cause is cause


@pytest.mark.parametrize("dirty", [0, 1])
def test_dirty_under_indirection_is_bit_7(dirty: int) -> None:
    memory = Memory()
    memory.stage2(indirect(9, dirty))
    attributes = look(memory, guest(VTCR_EL2=VTCR | S2PIE, S2PIR_EL2=perm(9, 0b1100)), "stage2", IPA).attributes
    assert attributes is not None
    assert attributes.dirty is bool(dirty)


def test_permissions_are_direct_without_feat_s2pie() -> None:
    # ID_AA64MMFR3_EL1.S2PIE [15:12]: VTCR_EL2.S2PIE is then RES0.
    without = FEATURES["ID_AA64MMFR3_EL1"] & ~0xF000
    found = through(direct(0b11), guest(VTCR_EL2=VTCR | S2PIE, ID_AA64MMFR3_EL1=without))
    assert allowed(found, 1, EL1H, stage=2) == "rwx"


ON_WALK = Fault(FaultKind.PERMISSION, 2, 3, s1ptw=True)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    ("bits", "clear", "expected"),
    [
        pytest.param(direct(0b00), 0, ON_WALK, id="S2AP=00"),
        pytest.param(direct(0b10), 0, ON_WALK, id="S2AP=10"),
        pytest.param(direct(0b01), 0, None, id="S2AP=01"),
        pytest.param(direct(0b11), 0, None, id="S2AP=11"),
        # Execute-never is for fetching instructions.
        pytest.param(direct(0b01, 0b10), 0, None, id="XN=10"),
        pytest.param(direct(0b11), AF, Fault(FaultKind.ACCESS_FLAG, 2, 3, s1ptw=True), id="AF=0"),
        pytest.param(direct(0b11), 1, Fault(FaultKind.TRANSLATION, 2, 3, s1ptw=True), id="invalid"),
    ],
)
def test_stage_2_may_refuse_any_stage_1_table(number: int, bits: int, clear: int, expected: Fault | None) -> None:
    memory = Memory()
    memory.stage1(0, output=IPA)
    memory.identity(READ_ONLY_TABLES)
    memory.stage2(direct(0b11))
    table = memory.tables[S1_ROOT][number]
    memory.stage2(bits, table, table)
    memory.words[memory.leaf_at(S2_ROOT, table)] &= ~clear
    found = look(memory, guest(), "el1")
    assert found.outcome == (expected or Mapped(PA, 1 << 12))
    if expected is not None:
        assert found.fetch is not None
        assert found.fetch.level.number == number
        assert len(found.steps) == number


def test_an_unmapped_ipa_is_a_stage_2_fault_that_is_not_on_a_walk() -> None:
    memory = Memory()
    memory.stage1(0, output=IPA)
    memory.identity(READ_ONLY_TABLES)
    memory.stage2(direct(0b11))
    memory.words[memory.leaf_at(S2_ROOT, IPA)] = 0
    assert look(memory, guest(), "el1").outcome == Fault(FaultKind.TRANSLATION, 2, 3)


def test_a_walk_reads_what_the_indirect_permissions_let_it() -> None:
    wrong = []
    for code, (*_, walkable) in S2_ENCODINGS.items():
        registers = guest(VTCR_EL2=VTCR | S2PIE, S2PIR_EL2=perm(0, code, 0b1100))
        said = through(indirect(1), registers, 0, INDIRECT_TABLES).outcome
        expected = Mapped(PA, 1 << 12) if walkable else ON_WALK
        if said != expected:
            wrong.append(f"S2PIR={code:04b}: {said}, not {expected}")
    settle(wrong)


# Is a stage 2 MemAttr[3:0] Device memory for a walk, whose own attributes are Normal; 0b0100, 0b1000 and 0b1100 are
# reserved with FWB=0, and 0bx100 with FWB=1.
DEVICE = {
    0: {0b0000, 0b0001, 0b0010, 0b0011},
    FWB: {0b0000, 0b0001, 0b0010, 0b0011, 0b1000, 0b1001, 0b1010, 0b1011},
}
UNSURE = {0: {0b0100, 0b1000, 0b1100}, FWB: {0b0100, 0b1100}}


@pytest.mark.parametrize("fwb", [pytest.param(0, id="FWB=0"), pytest.param(FWB, id="FWB=1")])
def test_hcr_ptw_refuses_walks_of_device_memory(fwb: int) -> None:
    wrong = []
    for memattr in range(16):
        if memattr in UNSURE[fwb]:
            continue
        tables = READ_ONLY_TABLES & ~(0xF << 2) | memattr << 2
        for ptw in (0, PTW):
            found = through(direct(0b11), guest(HCR_EL2=VM | RW | fwb | ptw), 0, tables)
            expected = ON_WALK if ptw and memattr in DEVICE[fwb] else Mapped(PA, 1 << 12)
            if found.outcome != expected:
                wrong.append(f"PTW={bool(ptw)} MemAttr={memattr:04b}: {found.outcome}, not {expected}")
            elif (
                ptw
                and memattr in DEVICE[fwb]
                and (not found.refusal or found.refusal.decider.cause != VMSACause.DEVICE_WALK)
            ):
                wrong.append(f"PTW={bool(ptw)} MemAttr={memattr:04b}: {found.refusal}, not for Device memory")
    settle(wrong)


def test_setting_a_stage_1_access_flag_writes_to_its_table() -> None:
    # S1Translate: with TCR_EL1.HA the update of AF=0 is a write by the walk, which stage 2 may refuse; whoever asks.
    for tables, expected in ((direct(0b01), ON_WALK), (direct(0b11), None)):
        memory = Memory()
        memory.stage1(0, output=IPA)
        memory.words[memory.leaf_at(S1_ROOT, VA)] &= ~AF
        memory.identity(tables)
        memory.stage2(direct(0b11))
        assert met(look(memory, guest(TCR_EL1=TCR | HA), "el1"), READ, 1, EL1H) == expected


def test_setting_stage_1_dirty_state_writes_to_its_table() -> None:
    # AP=0b10 with DBM: a write makes the leaf dirty, a read does not.
    for tables, expected in ((direct(0b01), ON_WALK), (direct(0b11), None)):
        found = through(direct(0b11), guest(TCR_EL1=TCR | HA | HD), 0b10 << 6 | DBM, tables)
        assert met(found, READ, 1, EL1H) is None
        assert met(found, WRITE, 1, EL1H) == expected
