"""Stage 1 permission indirection (FEAT_S1PIE): what PIR_ELx and PIRE0_ELx give, and what no longer counts.

DDI 0487, "Stage 1 Indirect permissions" (rules R_LLZDZ, R_HJYGR, R_VFPJF, R_JHSVW by the names KVM cites), and
AArch64.S1IndirectBasePermissions, S1ComputePermissions, S1CheckPermissions (Arm's pseudocode for Armv9.4, in
rems-project/sail-arm).  Checked against Linux arch/arm64/kvm/at.c and QEMU target/arm/ptw.c (get_S1prot_indirect).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.model import AccessKind, Cause
from tests.arch.aarch64.truth.machine import (
    ARM,
    EL1H,
    EL2_EXISTS,
    EL2H,
    EL3H,
    EPAN,
    FEATURES,
    HA,
    HD,
    MMFR1,
    PAN,
    PIE,
    RW,
    SCTLR,
    TCR,
    TCR2EN,
    TCR_ONE,
    UAO,
    WXN,
    allowed,
    el1,
    el2,
    el2_vhe,
    el3,
    granted,
    one_page,
    refusal,
    settle,
)

# TCR_EL3.PIE is [35]: EL3 has no TCR2.
PIE_EL3 = 1 << 35
# nDirty is [7], DBM would be [51].
NDIRTY = 1 << 7

# Perm<m>: what it gives where overlays are off; whether it may be written by GCS operations.
ENCODINGS: dict[int, tuple[str, bool]] = {
    0b0000: ("---", False),
    0b0001: ("r--", False),
    0b0010: ("--x", False),
    0b0011: ("r-x", False),
    0b0100: ("---", False),  # reserved: treated as no access
    0b0101: ("rw-", False),
    0b0110: ("rw-", False),  # RWX with WXN: without an overlay it is writable, so it does not execute
    0b0111: ("rwx", False),
    0b1000: ("r--", False),
    0b1001: ("r--", True),  # read, and GCS read and write
    0b1010: ("r-x", False),
    0b1011: ("---", False),  # reserved
    0b1100: ("rw-", False),
    0b1101: ("---", False),  # reserved
    0b1110: ("rwx", False),
    0b1111: ("---", False),  # reserved
}
RESERVED = (0b0100, 0b1011, 0b1101, 0b1111)
# R_VFPJF: privileged execute (or GCS) together with unprivileged write (or GCS) leaves nobody anything.  0b0110 counts
# as executable, for its WXN is applied afterwards.
PRIVILEGED_EXECUTES = (0b0010, 0b0011, 0b0110, 0b0111, 0b1001, 0b1010, 0b1110)
USER_WRITES = (0b0101, 0b0110, 0b0111, 0b1001, 0b1100, 0b1110)
NOTHING = ("---", "---")


def both(ppi: int, upi: int) -> tuple[str, str]:
    if ppi in PRIVILEGED_EXECUTES and upi in USER_WRITES:
        return NOTHING
    return ENCODINGS[ppi][0], ENCODINGS[upi][0]


def leaf(index: int, ndirty: int = 0) -> int:
    """PIIndex is descriptor bits {54, 53, 51, 6}, most significant first."""
    bits = index >> 3 << 54 | (index >> 2 & 1) << 53 | (index >> 1 & 1) << 51 | (index & 1) << 6
    return bits | ndirty * NDIRTY


def perm(index: int, value: int, elsewhere: int = 0) -> int:
    """PIR with `value` in Perm<index> and `elsewhere` in the other fifteen."""
    return sum((value if each == index else elsewhere) << 4 * each for each in range(16))


def pie(registers: Callable[..., dict[str, int]], el: int, ppi: int, upi: int, **changes: int) -> dict[str, int]:
    """Return every Perm<m> the same pair."""
    pire0 = {} if registers is el2 else {f"PIRE0_EL{el}": perm(0, upi, upi)}
    return registers(**{f"TCR2_EL{el}": PIE, f"PIR_EL{el}": perm(0, ppi, ppi), **pire0, **changes})


HOSTS = [pytest.param("el1", el1, 1, EL1H, id="el1"), pytest.param("el2-vhe", el2_vhe, 2, EL2H, id="el2-vhe")]


@pytest.mark.parametrize(("name", "registers", "el", "mode"), HOSTS)
def test_every_pair_of_encodings(name: str, registers: Callable[..., dict[str, int]], el: int, mode: int) -> None:
    wrong = []
    for ppi in ENCODINGS:
        for upi in ENCODINGS:
            found = one_page(leaf(0b1011), pie(registers, el, ppi, upi), name)
            said = allowed(found, el, mode), allowed(found, 0, 0)
            if said != both(ppi, upi):
                wrong.append(f"PIR={ppi:04b} PIRE0={upi:04b}: {said}, not {both(ppi, upi)}")
            if (given := (granted(found, el), granted(found, 0))) != both(ppi, upi):
                wrong.append(f"PIR={ppi:04b} PIRE0={upi:04b}: attributes give {given}, not {both(ppi, upi)}")
    settle(wrong)


@pytest.mark.parametrize(("name", "registers", "el", "mode"), HOSTS)
def test_shadow_stack_encodings(name: str, registers: Callable[..., dict[str, int]], el: int, mode: int) -> None:
    wrong = []
    for code, (_, gcs) in ENCODINGS.items():
        for who, ppi, upi in ((el, code, 0), (0, 0, code)):
            attributes = one_page(leaf(0b0101), pie(registers, el, ppi, upi), name).attributes
            said = None if attributes is None else attributes.rights[who].shadow_stack
            if said is not gcs:
                wrong.append(f"EL{who} {code:04b}: shadow stack {said}, not {gcs}")
    settle(wrong)


def test_the_index_is_bits_54_53_51_and_6() -> None:
    wrong = []
    for index in range(16):
        registers = el1(TCR2_EL1=PIE, PIR_EL1=perm(index, 0b0101), PIRE0_EL1=perm(index, 0b0001))
        for asked in range(16):
            found = one_page(leaf(asked), registers, "el1")
            said, expected = (allowed(found, 1, EL1H), allowed(found, 0, 0)), ("---", "---")
            if asked == index:
                expected = ("rw-", "r--")
            if said != expected:
                wrong.append(f"Perm{index} set, PIIndex={asked:04b}: {said}, not {expected}")
    settle(wrong)


@pytest.mark.parametrize(
    ("name", "el", "mode", "registers"),
    [
        pytest.param("el2", 2, EL2H, lambda pir: el2(TCR2_EL2=PIE, PIR_EL2=pir), id="el2"),
        pytest.param("el3", 3, EL3H, lambda pir: el3(TCR_EL3=TCR_ONE | PIE_EL3, PIR_EL3=pir), id="el3"),
    ],
)
def test_one_privilege_level(name: str, el: int, mode: int, registers: Callable[[int], dict[str, int]]) -> None:
    wrong = []
    for code, (expected, _) in ENCODINGS.items():
        for index in range(16):
            found = one_page(leaf(index), registers(perm(index, code, code ^ 0b0101)), name)
            for pstate in (0, PAN):
                if (said := allowed(found, el, mode | pstate)) != expected:
                    wrong.append(f"PIR={code:04b} PIIndex={index} PAN={bool(pstate)}: {said}, not {expected}")
            if (said := granted(found, el)) != expected:
                wrong.append(f"PIR={code:04b} PIIndex={index}: attributes give {said}, not {expected}")
    settle(wrong)


@pytest.mark.parametrize(("name", "registers", "el", "mode"), HOSTS)
def test_wxn_epan_and_table_bits_do_not_count(
    name: str, registers: Callable[..., dict[str, int]], el: int, mode: int
) -> None:
    # R_JHSVW: hierarchical permissions are disabled; SCTLR_ELx.WXN is for direct permissions.
    # APTable [62:61], UXNTable [60], PXNTable [59].
    limits = 0b1111 << 59
    wrong = []
    for ppi in ENCODINGS:
        for upi in (0b0000, 0b0101, 0b0111, 0b0011):
            for control in (WXN, EPAN):
                values = pie(registers, el, ppi, upi, **{f"SCTLR_EL{el}": SCTLR | control})
                found = one_page(leaf(0b0110), values, name, (limits, limits, limits))
                said = allowed(found, el, mode), allowed(found, 0, 0)
                if said != both(ppi, upi):
                    wrong.append(f"PIR={ppi:04b} PIRE0={upi:04b} SCTLR={control:#x}: {said}, not {both(ppi, upi)}")
    settle(wrong)


@pytest.mark.parametrize(("name", "registers", "el", "mode"), HOSTS)
def test_pan_protects_whatever_el0_has_anything_of(
    name: str, registers: Callable[..., dict[str, int]], el: int, mode: int
) -> None:
    # S1IndirectBasePermissions: PAN takes privileged reads and writes where the unprivileged base permission is not
    # 0b0000, execute-only included, whatever EPAN says (FEAT_S1PIE requires FEAT_PAN3).  The reserved encodings are
    # left out: by the pseudocode they are not 0b0000 and PAN applies; KVM and QEMU look at the rights they give: none.
    wrong = []
    for ppi in ENCODINGS:
        for upi in ENCODINGS:
            if upi in RESERVED:
                continue
            found = one_page(leaf(0b0001), pie(registers, el, ppi, upi), name)
            privileged, user = both(ppi, upi)
            under_pan = privileged if upi == 0b0000 else "--" + privileged[2]
            asked = {
                f"EL{el}": (allowed(found, el, mode | PAN), under_pan),
                "EL0": (allowed(found, 0, PAN), user),
                "LDTR": (allowed(found, el, mode | PAN, unprivileged=True)[:2], user[:2]),
                "LDTR with UAO": (allowed(found, el, mode | PAN | UAO, unprivileged=True)[:2], under_pan[:2]),
            }
            wrong += [
                f"PIR={ppi:04b} PIRE0={upi:04b} {who}: {said}, not {expected}"
                for who, (said, expected) in asked.items()
                if said != expected
            ]
    settle(wrong)


# (HAFDBS, TCR.HA, TCR.HD): does a write set a clean leaf dirty, instead of faulting.
MANAGED = {(2, 1, 1): True, (2, 1, 0): False, (2, 0, 1): False, (2, 0, 0): False, (1, 1, 1): False}


def test_a_clean_leaf_refuses_writes_unless_hardware_marks_it_dirty() -> None:
    # nDirty is [7]; there is no DBM: with HA and HD every leaf is managed.  Reads and fetches do not care.
    wrong = []
    for (hafdbs, ha, hd), managed in MANAGED.items():
        for ndirty in (0, 1):
            for code in (0b0101, 0b0111, 0b1100, 0b1110, 0b0001, 0b0011):
                values = pie(el1, 1, code, 0, TCR_EL1=TCR | ha * HA | hd * HD, ID_AA64MMFR1_EL1=MMFR1 & ~0xF | hafdbs)
                found = one_page(leaf(0b0100, ndirty), values, "el1")
                expected = ENCODINGS[code][0]
                if ndirty and not managed:
                    expected = expected[0] + "-" + expected[2]
                if (said := allowed(found, 1, EL1H)) != expected:
                    wrong.append(f"HAFDBS={hafdbs} HA={ha} HD={hd} nDirty={ndirty} {code:04b}: {said}, not {expected}")
    settle(wrong)


def test_a_clean_leaf_refuses_el0_too() -> None:
    found = one_page(leaf(0b0100, 1), pie(el1, 1, 0b0101, 0b0101), "el1")
    assert (allowed(found, 1, EL1H), allowed(found, 0, 0)) == ("r--", "r--")


@pytest.mark.parametrize(
    ("code", "ndirty", "cause"),
    [
        # The base permission is looked at first: ESR_ELx.DirtyBit says that the dirty state alone refused.
        (0b0001, 1, VMSACause.BASE_PERMISSION),
        (0b0001, 0, VMSACause.BASE_PERMISSION),
        (0b0101, 1, VMSACause.NOT_DIRTY),
    ],
)
def test_the_dirty_state_refuses_only_what_the_base_allows(code: int, ndirty: int, cause: Cause) -> None:
    refused = refusal(one_page(leaf(0b0100, ndirty), pie(el1, 1, code, 0), "el1"), AccessKind.WRITE, 1, EL1H)
    assert refused is not None
    assert refused.decider.cause is cause


@pytest.mark.parametrize(("ndirty", "dirty"), [(0, True), (1, False)])
def test_dirty_is_ndirty_clear(ndirty: int, dirty: bool) -> None:
    attributes = one_page(leaf(0b0100, ndirty), pie(el1, 1, 0b0101, 0), "el1").attributes
    assert attributes is not None
    assert attributes.dirty is dirty


# A guest that marks what was written by a bit of its own: that bit, else nDirty; what nobody may write keeps no state.
@pytest.mark.parametrize(
    ("code", "ndirty", "marked", "dirty"),
    [(0b0101, 0, 0, True), (0b0101, 1, 0, False), (0b0101, 1, 1, True), (0b0001, 1, 0, None), (0b0001, 1, 1, True)],
)
def test_dirty_by_a_software_bit(code: int, ndirty: int, marked: int, dirty: bool | None) -> None:
    found = one_page(leaf(0b0100, ndirty) | marked << 55, pie(el1, 1, code, code), "el1")
    attributes = ARM.reading_dirty(DirtyConvention.BIT55).marked(found.regime).attributes(found.steps)
    assert attributes is not None
    assert attributes.dirty is dirty


def test_a_conflict_does_not_ask_who_is_dirty_or_what_the_overlay_says() -> None:
    # EL0's write counts as its base permission, although this clean leaf would refuse it.
    found = one_page(leaf(0b0100, 1), pie(el1, 1, 0b0011, 0b0101), "el1")
    assert (allowed(found, 1, EL1H), allowed(found, 0, 0)) == NOTHING


# What AP=0b01 with UXN=0, PXN=0 gives directly: bits [7:6].
DIRECT = (0b01 << 6, ("rw-", "rwx"))


@pytest.mark.parametrize(
    "registers",
    [
        pytest.param(el1(TCR2_EL1=0, PIR_EL1=perm(0, 1, 1), PIRE0_EL1=perm(0, 1, 1)), id="PIE=0"),
        pytest.param(
            # ID_AA64MMFR3_EL1.S1PIE [11:8] is 0: TCR2_EL1.PIE is RES0.
            el1(TCR2_EL1=PIE, ID_AA64MMFR3_EL1=FEATURES["ID_AA64MMFR3_EL1"] & ~0xF00),
            id="no FEAT_S1PIE",
        ),
        pytest.param(
            # IsTCR2EL1Enabled: with EL2, HCRX_EL2.TCR2En has to be 1.
            el1(**EL2_EXISTS, TCR2_EL1=PIE, PIR_EL1=perm(0, 1, 1), PIRE0_EL1=perm(0, 1, 1), HCR_EL2=RW, HCRX_EL2=0),
            id="TCR2En=0",
        ),
    ],
)
def test_permissions_are_direct_where_indirection_is_off(registers: dict[str, int]) -> None:
    found = one_page(DIRECT[0], registers, "el1")
    assert (allowed(found, 1, EL1H), allowed(found, 0, 0)) == DIRECT[1]


def test_indirection_of_a_machine_with_el2_needs_tcr2en() -> None:
    values = pie(el1, 1, 0b0001, 0b0001, **EL2_EXISTS, HCR_EL2=RW, HCRX_EL2=TCR2EN)
    found = one_page(DIRECT[0], values, "el1")
    assert (allowed(found, 1, EL1H), allowed(found, 0, 0)) == ("r--", "r--")
