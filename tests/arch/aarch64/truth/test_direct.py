"""Direct permissions: AP, UXN and PXN, with everything that limits or widens them.

DDI 0487, "Memory access control", and AArch64.S1DirectBasePermissions, S1ApplyTablePerms, S1ApplyOutputPerms,
S1ComputePermissions (Arm's pseudocode as Arm published it for Armv9.4, in rems-project/sail-arm).  Checked against
Linux arch/arm64/kvm/at.c (compute_s1_direct_permissions, compute_s1_hierarchical_permissions).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.model import AccessKind, Cause
from tests.arch.aarch64.truth.machine import (
    ARM,
    E2H,
    EL1H,
    EL2H,
    EL3H,
    EPAN,
    HA,
    HA_ONE,
    HD,
    HD_ONE,
    HPD0,
    HPD_ONE,
    MMFR1,
    PAN,
    RW,
    SCTLR,
    TCR,
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

# AP[2:1] is [7:6], UXN (XN with one privilege level) is [54], PXN is [53], DBM is [51].
DBM = 1 << 51


def leaf(ap: int, uxn: int = 0, pxn: int = 0) -> int:
    return ap << 6 | uxn << 54 | pxn << 53


# (AP[2:1], UXN, PXN): privileged and EL0; privileged and EL0 with SCTLR_ELx.WXN; does PSTATE.PAN refuse privileged data
# accesses; does it with SCTLR_ELx.EPAN.  What EL0 may write the privileged level does not execute, whatever PXN says.
TWO_LEVELS: dict[tuple[int, int, int], tuple[tuple[str, str], tuple[str, str], bool, bool]] = {
    (0b00, 0, 0): (("rwx", "--x"), ("rw-", "--x"), False, True),
    (0b00, 0, 1): (("rw-", "--x"), ("rw-", "--x"), False, True),
    (0b00, 1, 0): (("rwx", "---"), ("rw-", "---"), False, False),
    (0b00, 1, 1): (("rw-", "---"), ("rw-", "---"), False, False),
    (0b01, 0, 0): (("rw-", "rwx"), ("rw-", "rw-"), True, True),
    (0b01, 0, 1): (("rw-", "rwx"), ("rw-", "rw-"), True, True),
    (0b01, 1, 0): (("rw-", "rw-"), ("rw-", "rw-"), True, True),
    (0b01, 1, 1): (("rw-", "rw-"), ("rw-", "rw-"), True, True),
    (0b10, 0, 0): (("r-x", "--x"), ("r-x", "--x"), False, True),
    (0b10, 0, 1): (("r--", "--x"), ("r--", "--x"), False, True),
    (0b10, 1, 0): (("r-x", "---"), ("r-x", "---"), False, False),
    (0b10, 1, 1): (("r--", "---"), ("r--", "---"), False, False),
    (0b11, 0, 0): (("r-x", "r-x"), ("r-x", "r-x"), True, True),
    (0b11, 0, 1): (("r--", "r-x"), ("r--", "r-x"), True, True),
    (0b11, 1, 0): (("r-x", "r--"), ("r-x", "r--"), True, True),
    (0b11, 1, 1): (("r--", "r--"), ("r--", "r--"), True, True),
}
HOSTS = [
    pytest.param("el1", el1, 1, EL1H, "SCTLR_EL1", id="el1"),
    pytest.param("el2-vhe", el2_vhe, 2, EL2H, "SCTLR_EL2", id="el2-vhe"),
]


def data(rights: str) -> str:
    """What is left for LDTR and STTR, which fetch nothing."""
    return rights[:2]


@pytest.mark.parametrize(("name", "registers", "el", "mode", "sctlr"), HOSTS)
def test_two_privilege_levels(
    name: str, registers: Callable[..., dict[str, int]], el: int, mode: int, sctlr: str
) -> None:
    wrong = []
    for bits, (plain, wxn, pan_refuses, epan_refuses) in TWO_LEVELS.items():
        for control in (0, WXN, EPAN, WXN | EPAN):
            found = one_page(leaf(*bits), registers(**{sctlr: SCTLR | control}), name)
            privileged, user = wxn if control & WXN else plain
            for pstate in (0, PAN, UAO, PAN | UAO):
                refused = pstate & PAN and (epan_refuses if control & EPAN else pan_refuses)
                here = "--" + privileged[2] if refused else privileged
                asked = {
                    f"EL{el}": (allowed(found, el, mode | pstate), here),
                    "EL0": (allowed(found, 0, pstate), user),
                    # FEAT_UAO: PSTATE.UAO makes LDTR and STTR what LDR and STR are, PAN included.
                    "LDTR and STTR": (
                        data(allowed(found, el, mode | pstate, unprivileged=True)),
                        data(here if pstate & UAO else user),
                    ),
                }
                wrong += [
                    f"AP={bits[0]:02b} UXN={bits[1]} PXN={bits[2]} WXN={int(bool(control & WXN))} "
                    f"EPAN={int(bool(control & EPAN))} PAN={int(bool(pstate & PAN))} UAO={int(bool(pstate & UAO))} "
                    f"{who}: {said}, not {expected}"
                    for who, (said, expected) in asked.items()
                    if said != expected
                ]
    settle(wrong)


@pytest.mark.parametrize(("name", "registers", "el", "mode", "sctlr"), HOSTS)
def test_attributes_grant_what_the_check_allows_without_pan(
    name: str, registers: Callable[..., dict[str, int]], el: int, mode: int, sctlr: str
) -> None:
    wrong = []
    for bits, (plain, wxn, *_) in TWO_LEVELS.items():
        for control, expected in ((0, plain), (WXN, wxn)):
            found = one_page(leaf(*bits), registers(**{sctlr: SCTLR | control}), name)
            said = granted(found, el), granted(found, 0)
            if said != expected:
                wrong.append(
                    f"AP={bits[0]:02b} UXN={bits[1]} PXN={bits[2]} WXN={bool(control)}: {said}, not {expected}"
                )
    settle(wrong)


def test_epan_needs_feat_pan3() -> None:
    # ID_AA64MMFR1_EL1.PAN [23:20] is 0b0010 without FEAT_PAN3; SCTLR_EL1.EPAN is then RES0.
    registers = el1(SCTLR_EL1=SCTLR | EPAN, ID_AA64MMFR1_EL1=MMFR1 & ~(0xF << 20) | 2 << 20)
    assert allowed(one_page(leaf(0b00), registers, "el1"), 1, EL1H | PAN) == "rwx"


@pytest.mark.parametrize(
    ("control", "ap", "kind", "cause"),
    [
        (0, 0b01, AccessKind.EXECUTE, VMSACause.WRITABLE_BY_USER),
        (0, 0b11, AccessKind.WRITE, VMSACause.READ_ONLY),
        (WXN, 0b00, AccessKind.EXECUTE, VMSACause.WRITE_IMPLIES_EXECUTE_NEVER),
    ],
)
def test_the_rule_that_decides_is_named(control: int, ap: int, kind: AccessKind, cause: Cause) -> None:
    refused = refusal(one_page(leaf(ap), el1(SCTLR_EL1=SCTLR | control), "el1"), kind, 1, EL1H)
    assert refused is not None
    assert refused.decider.cause is cause


# (AP[2], XN): EL2 or EL3; the same with WXN.  AP[1] and PXN are ignored, and so is PSTATE.PAN.
ONE_LEVEL = {
    (0, 0): ("rwx", "rw-"),
    (0, 1): ("rw-", "rw-"),
    (1, 0): ("r-x", "r-x"),
    (1, 1): ("r--", "r--"),
}
ALONE = [
    pytest.param("el2", el2, 2, EL2H, "SCTLR_EL2", "TCR_EL2", id="el2"),
    pytest.param("el3", el3, 3, EL3H, "SCTLR_EL3", "TCR_EL3", id="el3"),
]


@pytest.mark.parametrize(("name", "registers", "el", "mode", "sctlr", "tcr"), ALONE)
def test_one_privilege_level(
    name: str, registers: Callable[..., dict[str, int]], el: int, mode: int, sctlr: str, tcr: str
) -> None:
    wrong = []
    for (read_only, xn), (plain, wxn) in ONE_LEVEL.items():
        for ap1 in (0, 1):
            for pxn in (0, 1):
                for control, expected in ((0, plain), (WXN, wxn), (EPAN, plain)):
                    found = one_page(leaf(read_only << 1 | ap1, xn, pxn), registers(**{sctlr: SCTLR | control}), name)
                    row = f"AP={read_only}{ap1} XN={xn} PXN={pxn} WXN={control == WXN} EPAN={control == EPAN}"
                    for pstate in (0, PAN, UAO):
                        if (said := allowed(found, el, mode | pstate)) != expected:
                            wrong.append(f"{row} PSTATE={pstate:#x}: {said}, not {expected}")
                        # LDTR and STTR at EL3, and at EL2 without {E2H, TGE} = {1, 1}, are LDR and STR.
                        said = allowed(found, el, mode | pstate, unprivileged=True)
                        if data(said) != data(expected):
                            wrong.append(f"{row} PSTATE={pstate:#x} LDTR and STTR: {said}, not {expected}")
                    if (said := granted(found, el)) != expected:
                        wrong.append(f"{row}: attributes give {said}, not {expected}")
    settle(wrong)


def test_ldtr_at_el2_is_unprivileged_only_in_a_host_with_tge() -> None:
    # AArch64.IsUnprivAccessPriv: at EL2 unprivileged when HCR_EL2.{E2H, TGE} is {1, 1}.
    page = leaf(0b00)
    assert data(allowed(one_page(page, el2_vhe(), "el2-vhe"), 2, EL2H, unprivileged=True)) == "--"
    assert data(allowed(one_page(page, el2_vhe(HCR_EL2=RW | E2H), "el2-vhe"), 2, EL2H, unprivileged=True)) == "rw"


# APTable[1:0] [62:61], UXNTable (XNTable) [60], PXNTable [59] make a leaf what it would be with these AP bits, and the
# union of the execute-never bits.  0b01 takes EL0's access away, 0b10 everybody's writes.
AP_LIMITED = {
    (0b00, 0b00): 0b00,
    (0b01, 0b00): 0b01,
    (0b10, 0b00): 0b10,
    (0b11, 0b00): 0b11,
    (0b00, 0b01): 0b00,
    (0b01, 0b01): 0b00,
    (0b10, 0b01): 0b10,
    (0b11, 0b01): 0b10,
    (0b00, 0b10): 0b10,
    (0b01, 0b10): 0b11,
    (0b10, 0b10): 0b10,
    (0b11, 0b10): 0b11,
    (0b00, 0b11): 0b10,
    (0b01, 0b11): 0b10,
    (0b10, 0b11): 0b10,
    (0b11, 0b11): 0b10,
}


def table(ap: int, uxn: int = 0, pxn: int = 0) -> int:
    return ap << 61 | uxn << 60 | pxn << 59


@pytest.mark.parametrize(("name", "registers", "el", "mode", "sctlr"), HOSTS)
def test_a_table_limits_what_is_below_it(
    name: str, registers: Callable[..., dict[str, int]], el: int, mode: int, sctlr: str
) -> None:
    tcr = f"TCR_EL{el}"
    wrong = []
    for ap, uxn, pxn in TWO_LEVELS:
        for number in range(16):
            ap_table, uxn_table, pxn_table = number >> 2, number >> 1 & 1, number & 1
            limit = table(ap_table, uxn_table, pxn_table)
            level = number % 3
            above = (limit if level == 0 else 0, limit if level == 1 else 0, limit if level == 2 else 0)
            limited = AP_LIMITED[ap, ap_table], uxn | uxn_table, pxn | pxn_table
            for hpd, bits in ((0, limited), (HPD0, (ap, uxn, pxn))):
                found = one_page(leaf(ap, uxn, pxn), registers(**{tcr: TCR | hpd}), name, above)
                (privileged, user), _, pan_refuses, _ = TWO_LEVELS[bits]
                asked = {
                    f"EL{el}": (allowed(found, el, mode), privileged),
                    "EL0": (allowed(found, 0, 0), user),
                    f"EL{el} with PAN": (
                        allowed(found, el, mode | PAN),
                        "--" + privileged[2] if pan_refuses else privileged,
                    ),
                }
                wrong += [
                    f"AP={ap:02b} UXN={uxn} PXN={pxn}, level {level} APTable={ap_table:02b} UXNTable={uxn_table} "
                    f"PXNTable={pxn_table} HPD={bool(hpd)} {who}: {said}, not {expected}"
                    for who, (said, expected) in asked.items()
                    if said != expected
                ]
    settle(wrong)


def test_limits_of_several_tables_add_up() -> None:
    found = one_page(leaf(0b01), el1(), "el1", (table(0b01), table(0b10), table(0, 1, 0)))
    assert (allowed(found, 1, EL1H), allowed(found, 0, 0)) == ("r-x", "---")


@pytest.mark.parametrize(("name", "registers", "el", "mode", "sctlr", "tcr"), ALONE)
def test_a_table_limits_one_privilege_level_by_aptable1_and_xntable(
    name: str, registers: Callable[..., dict[str, int]], el: int, mode: int, sctlr: str, tcr: str
) -> None:
    wrong = []
    for read_only, xn in ONE_LEVEL:
        for number in range(16):
            ap_table, xn_table, ignored = number >> 2, number >> 1 & 1, number & 1
            limited = read_only | ap_table >> 1, xn | xn_table
            for hpd, bits in ((0, limited), (HPD_ONE, (read_only, xn))):
                above = (table(ap_table, xn_table, ignored), 0, 0)
                found = one_page(leaf(read_only << 1 | 1, xn), registers(**{tcr: TCR_ONE | hpd}), name, above)
                if (said := allowed(found, el, mode)) != ONE_LEVEL[bits][0]:
                    wrong.append(
                        f"AP[2]={read_only} XN={xn} APTable={ap_table:02b} XNTable={xn_table} [59]={ignored} "
                        f"HPD={bool(hpd)}: {said}, not {ONE_LEVEL[bits][0]}"
                    )
    settle(wrong)


# (HAFDBS of ID_AA64MMFR1_EL1, TCR.HA, TCR.HD): does DBM make a read-only leaf writable.
MANAGED = {
    (2, 1, 1): True,
    (2, 1, 0): False,
    (2, 0, 1): False,  # HD needs HA
    (2, 0, 0): False,
    (1, 1, 1): False,  # the access flag only: HD is RES0
    (0, 1, 1): False,
}


@pytest.mark.parametrize(
    ("name", "registers", "el", "mode", "tcr", "base", "ha", "hd"),
    [
        pytest.param("el1", el1, 1, EL1H, "TCR_EL1", TCR, HA, HD, id="el1"),
        pytest.param("el2-vhe", el2_vhe, 2, EL2H, "TCR_EL2", TCR, HA, HD, id="el2-vhe"),
        pytest.param("el2", el2, 2, EL2H, "TCR_EL2", TCR_ONE, HA_ONE, HD_ONE, id="el2"),
        pytest.param("el3", el3, 3, EL3H, "TCR_EL3", TCR_ONE, HA_ONE, HD_ONE, id="el3"),
    ],
)
def test_dbm_grants_writes_where_hardware_manages_dirty_state(
    name: str, registers: Callable[..., dict[str, int]], el: int, mode: int, tcr: str, base: int, ha: int, hd: int
) -> None:
    wrong = []
    for (hafdbs, has_ha, has_hd), managed in MANAGED.items():
        values = registers(
            **{tcr: base | has_ha * ha | has_hd * hd, "ID_AA64MMFR1_EL1": MMFR1 & ~0xF | hafdbs},
        )
        for dbm in (0, DBM):
            for read_only in (0, 1):
                for limit in (0, table(0b10)):
                    found = one_page(leaf(read_only << 1 | 1) | dbm, values, name, (limit, 0, 0))
                    # A clean leaf does not outbid APTable[1].
                    writable = not limit and (not read_only or bool(dbm and managed))
                    said = allowed(found, el, mode)[1] == "w"
                    if said != writable:
                        wrong.append(
                            f"HAFDBS={hafdbs} HA={has_ha} HD={has_hd} DBM={bool(dbm)} AP[2]={read_only} "
                            f"APTable={limit >> 61:02b}: write {said}, not {writable}"
                        )
    settle(wrong)


def test_a_clean_leaf_has_the_permissions_of_a_dirty_one() -> None:
    # S1ApplyOutputPerms clears AP[2] of a DBM leaf before anything is computed from it, so what is writable-clean for
    # EL0 is not for EL1 to execute, and WXN takes it for writable.  (QEMU clears AP[2] only when the write is done.)
    managed = TCR | HA | HD
    found = one_page(leaf(0b11) | DBM, el1(TCR_EL1=managed), "el1")
    assert (allowed(found, 1, EL1H), allowed(found, 0, 0)) == ("rw-", "rwx")
    found = one_page(leaf(0b10) | DBM, el1(TCR_EL1=managed, SCTLR_EL1=SCTLR | WXN), "el1")
    assert allowed(found, 1, EL1H) == "rw-"


@pytest.mark.parametrize(("ap", "dbm", "dirty"), [(0b10, 1, False), (0b00, 1, True), (0b00, 0, None), (0b10, 0, None)])
def test_dirty_is_dbm_with_ap2_clear(ap: int, dbm: int, dirty: bool | None) -> None:
    attributes = one_page(leaf(ap) | dbm * DBM, el1(TCR_EL1=TCR | HA | HD), "el1").attributes
    assert attributes is not None
    assert attributes.dirty is dirty


# A guest that marks what was written by a bit of its own: that bit, else what hardware recorded, else what may be
# written and is not marked is clean; what is read-only keeps no state.
@pytest.mark.parametrize(
    ("ap", "dbm", "marked", "dirty"),
    [
        (0b00, 0, 0, False), (0b00, 0, 1, True), (0b10, 0, 0, None), (0b10, 0, 1, True),
        (0b01, 0, 0, False), (0b01, 0, 1, True), (0b11, 0, 0, None), (0b11, 0, 1, True),
        (0b00, 1, 0, True), (0b00, 1, 1, True), (0b10, 1, 0, False), (0b10, 1, 1, True),
    ],
)  # fmt: skip
def test_dirty_by_a_software_bit(ap: int, dbm: int, marked: int, dirty: bool | None) -> None:
    found = one_page(leaf(ap) | dbm * DBM | marked << 55, el1(TCR_EL1=TCR | HA | HD), "el1")
    regime = ARM.reading_dirty(DirtyConvention.BIT55).marked(found.regime)
    attributes = regime.attributes(found.steps)
    assert attributes is not None
    assert attributes.dirty is dirty
