"""Stage 1 permission overlays (FEAT_S1POE): what POR_ELx takes away from the base permissions.

DDI 0487, "Stage 1 Overlay permissions" (R_QXXPC, R_NPBXC, R_BVXDG by the names KVM cites), and
AArch64.S1OverlayPermissions, S1ComputePermissions, S1CheckPermissions (Arm's pseudocode for Armv9.4, in
rems-project/sail-arm).  Checked against Linux arch/arm64/kvm/at.c (compute_s1_overlay_permissions); QEMU has no
overlays.
"""

from __future__ import annotations

import pytest

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.model import AccessKind, Cause
from tests.arch.aarch64.truth.machine import (
    E0POE,
    EL1H,
    EL2H,
    EL3H,
    FEATURES,
    PAN,
    PIE,
    POE,
    SCTLR,
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

# TCR_EL3: PIE [35], POE [36].
PIE_EL3, POE_EL3 = 1 << 35, 1 << 36

# POR_ELx.Perm<m>: an access needs it from the overlay as well as from the base.
OVERLAYS = {
    0b0000: "---",
    0b0001: "r--",
    0b0010: "--x",
    0b0011: "r-x",
    0b0100: "-w-",
    0b0101: "rw-",
    0b0110: "-wx",
    0b0111: "rwx",
    # 0b1xxx is reserved: treated as no access.
    0b1000: "---",
    0b1001: "---",
    0b1010: "---",
    0b1011: "---",
    0b1100: "---",
    0b1101: "---",
    0b1110: "---",
    0b1111: "---",
}
# PIR_ELx.Perm<m>: the base, and whether an overlay applies to it.  0b0110 is spelled out in WXN_ENCODING.
INDIRECT = {
    0b0000: ("---", True),
    0b0001: ("r--", True),
    0b0010: ("--x", True),
    0b0011: ("r-x", True),
    0b0100: ("---", True),
    0b0101: ("rw-", True),
    0b0111: ("rwx", True),
    0b1000: ("r--", False),
    0b1001: ("r--", False),
    0b1010: ("r-x", False),
    0b1011: ("---", False),
    0b1100: ("rw-", False),
    0b1101: ("---", False),
    0b1110: ("rwx", False),
    0b1111: ("---", False),
}
# 0b0110, RWX with WXN, after an overlay: what is still executable is not writable.
WXN_ENCODING = {
    0b0000: "---",
    0b0001: "r--",
    0b0010: "--x",
    0b0011: "r-x",
    0b0100: "-w-",
    0b0101: "rw-",
    0b0110: "--x",
    0b0111: "r-x",
    0b1000: "---",
    0b1001: "---",
    0b1010: "---",
    0b1011: "---",
    0b1100: "---",
    0b1101: "---",
    0b1110: "---",
    0b1111: "---",
}
# Direct permissions, (AP[2:1] [7:6], UXN [54], PXN [53]): privileged, EL0.
DIRECT = {
    (0b00, 0, 0): ("rwx", "--x"),
    (0b00, 1, 1): ("rw-", "---"),
    (0b01, 0, 0): ("rw-", "rwx"),
    (0b01, 1, 0): ("rw-", "rw-"),
    (0b10, 0, 0): ("r-x", "--x"),
    (0b10, 1, 1): ("r--", "---"),
    (0b11, 0, 0): ("r-x", "r-x"),
    (0b11, 1, 1): ("r--", "r--"),
}


def meet(base: str, overlay: str) -> str:
    return "".join(one if one == other else "-" for one, other in zip(base, overlay, strict=True))


def leaf(ap: int, uxn: int, pxn: int, po: int) -> int:
    """POIndex is [62:60]."""
    return ap << 6 | uxn << 54 | pxn << 53 | po << 60


def indirect_leaf(index: int, po: int) -> int:
    return index >> 3 << 54 | (index >> 2 & 1) << 53 | (index >> 1 & 1) << 51 | (index & 1) << 6 | po << 60


def perm(index: int, value: int, elsewhere: int = 0) -> int:
    return sum((value if each == index else elsewhere) << 4 * each for each in range(16))


def test_direct_permissions_under_every_overlay() -> None:
    wrong = []
    for bits, (privileged, user) in DIRECT.items():
        for code, overlay in OVERLAYS.items():
            po = (code + bits[0]) % 8
            # EL0's overlay is another one, so that they cannot be mixed up.
            other = code ^ 0b0111
            for poe in (0, POE):
                for e0poe in (0, E0POE):
                    registers = el1(
                        TCR2_EL1=poe | e0poe, POR_EL1=perm(po, code, 0b0101), POR_EL0=perm(po, other, 0b0101)
                    )
                    found = one_page(leaf(*bits, po), registers, "el1")
                    expected_1 = meet(privileged, overlay) if poe else privileged
                    expected_0 = meet(user, OVERLAYS[other]) if e0poe else user
                    asked = {
                        "EL1": (allowed(found, 1, EL1H), expected_1),
                        "EL0": (allowed(found, 0, 0), expected_0),
                        "LDTR": (allowed(found, 1, EL1H, unprivileged=True)[:2], expected_0[:2]),
                        "LDTR with UAO": (allowed(found, 1, EL1H | UAO, unprivileged=True)[:2], expected_1[:2]),
                        "EL1, attributes": (granted(found, 1), expected_1),
                        "EL0, attributes": (granted(found, 0), expected_0),
                    }
                    wrong += [
                        f"AP={bits[0]:02b} UXN={bits[1]} PXN={bits[2]} POE={bool(poe)} E0POE={bool(e0poe)} "
                        f"POR_EL1={code:04b} POR_EL0={other:04b} {who}: {said}, not {expected}"
                        for who, (said, expected) in asked.items()
                        if said != expected
                    ]
    settle(wrong)


def test_the_overlay_index_is_bits_62_to_60() -> None:
    wrong = []
    for index in range(8):
        registers = el1(TCR2_EL1=POE | E0POE, POR_EL1=perm(index, 0b0101), POR_EL0=perm(index, 0b0001))
        for asked in range(8):
            found = one_page(leaf(0b01, 0, 0, asked), registers, "el1")
            said = allowed(found, 1, EL1H), allowed(found, 0, 0)
            expected = ("rw-", "r--") if asked == index else ("---", "---")
            if said != expected:
                wrong.append(f"Perm{index} set, POIndex={asked:03b}: {said}, not {expected}")
    settle(wrong)


def test_indirect_permissions_under_every_overlay() -> None:
    wrong = []
    for code, (base, overlaid) in INDIRECT.items():
        for over, overlay in OVERLAYS.items():
            for el, mode in ((1, EL1H), (0, 0)):
                # The other level has nothing, so that no rule about both comes in.
                values = {"PIR_EL1": perm(9, code)} if el else {"PIRE0_EL1": perm(9, code)}
                values |= {"POR_EL1": perm(5, over)} if el else {"POR_EL0": perm(5, over)}
                for poe in (0, POE if el else E0POE):
                    found = one_page(indirect_leaf(9, 5), el1(TCR2_EL1=PIE | poe, **values), "el1")
                    expected = meet(base, overlay) if overlaid and poe else base
                    row = f"EL{el} base={code:04b} overlay={over:04b} on={bool(poe)}"
                    for said, what in ((allowed(found, el, mode), "check"), (granted(found, el), "attributes")):
                        if said != expected:
                            wrong.append(f"{row} {what}: {said}, not {expected}")
    settle(wrong)


def test_rwx_with_wxn_keeps_execute_and_loses_write_after_an_overlay() -> None:
    wrong = []
    for over, expected in WXN_ENCODING.items():
        for el, mode in ((1, EL1H), (0, 0)):
            values = {"PIR_EL1": perm(3, 0b0110)} if el else {"PIRE0_EL1": perm(3, 0b0110)}
            values |= {"POR_EL1": perm(2, over)} if el else {"POR_EL0": perm(2, over)}
            found = one_page(indirect_leaf(3, 2), el1(TCR2_EL1=PIE | (POE if el else E0POE), **values), "el1")
            for said, what in ((allowed(found, el, mode), "check"), (granted(found, el), "attributes")):
                if said != expected:
                    wrong.append(f"EL{el} base=0110 overlay={over:04b} {what}: {said}, not {expected}")
    settle(wrong)


def test_rwx_with_wxn_loses_execute_without_an_overlay() -> None:
    found = one_page(indirect_leaf(3, 2), el1(TCR2_EL1=PIE, PIR_EL1=perm(3, 0b0110), POR_EL1=perm(2, 0b0011)), "el1")
    assert allowed(found, 1, EL1H) == "rw-"


# Direct permissions with SCTLR_EL1.WXN, where the base is writable and executable: the overlay decides which of the two
# remains.  (overlay, privileged of AP=0b00)
DIRECT_WXN = {
    0b0000: "---",
    0b0001: "r--",
    0b0010: "--x",
    0b0011: "r-x",
    0b0100: "-w-",
    0b0101: "rw-",
    0b0110: "--x",
    0b0111: "r-x",
}


@pytest.mark.parametrize(
    ("el", "mode", "ap"), [pytest.param(1, EL1H, 0b00, id="EL1"), pytest.param(0, 0, 0b01, id="EL0")]
)
def test_wxn_after_an_overlay_takes_write_from_what_executes(el: int, mode: int, ap: int) -> None:
    wrong = []
    for code, expected in DIRECT_WXN.items():
        registers = el1(
            SCTLR_EL1=SCTLR | WXN,
            TCR2_EL1=POE if el else E0POE,
            **{"POR_EL1" if el else "POR_EL0": perm(4, code)},
        )
        if (said := allowed(one_page(leaf(ap, 0, 0, 4), registers, "el1"), el, mode)) != expected:
            wrong.append(f"EL{el} AP={ap:02b} WXN=1 overlay={code:04b}: {said}, not {expected}")
    settle(wrong)


def test_wxn_does_not_touch_what_was_never_writable_and_executable() -> None:
    registers = el1(SCTLR_EL1=SCTLR | WXN, TCR2_EL1=POE, POR_EL1=perm(0, 0b0111))
    assert allowed(one_page(leaf(0b10, 0, 0, 0), registers, "el1"), 1, EL1H) == "r-x"
    assert allowed(one_page(leaf(0b00, 0, 1, 0), registers, "el1"), 1, EL1H) == "rw-"


def test_conflicts_of_the_base_permissions_are_found_before_the_overlay() -> None:
    # EL0 may write by its base, and not by its overlay: EL1 does not execute it all the same.
    registers = el1(TCR2_EL1=POE | E0POE, POR_EL1=perm(0, 0b0111), POR_EL0=perm(0, 0b0001))
    found = one_page(leaf(0b01, 0, 0, 0), registers, "el1")
    assert (allowed(found, 1, EL1H), allowed(found, 0, 0)) == ("rw-", "r--")
    registers = el1(
        TCR2_EL1=PIE | POE | E0POE,
        PIR_EL1=perm(1, 0b0011),
        PIRE0_EL1=perm(1, 0b0101),
        POR_EL1=perm(0, 0b0111),
        POR_EL0=perm(0, 0b0001),
    )
    found = one_page(indirect_leaf(1, 0), registers, "el1")
    assert (allowed(found, 1, EL1H), allowed(found, 0, 0)) == ("---", "---")


def test_pan_looks_at_el0s_base_permissions_not_at_its_overlay() -> None:
    # S1DirectBasePermissions and S1IndirectBasePermissions apply PAN before any overlay.  KVM applies it afterwards and
    # would allow these; we follow the pseudocode.
    registers = el1(TCR2_EL1=POE | E0POE, POR_EL1=perm(0, 0b0111), POR_EL0=perm(0, 0b0000))
    assert allowed(one_page(leaf(0b01, 1, 1, 0), registers, "el1"), 1, EL1H | PAN) == "---"
    registers |= {"TCR2_EL1": PIE | POE | E0POE, "PIR_EL1": perm(1, 0b0101), "PIRE0_EL1": perm(1, 0b0001)}
    assert allowed(one_page(indirect_leaf(1, 0), registers, "el1"), 1, EL1H | PAN) == "---"


@pytest.mark.parametrize(
    ("base", "overlay", "cause"),
    [
        # S1CheckPermissions looks at the overlay first: ESR_ELx.Overlay is set even where the base would refuse too.
        (0b0001, 0b0001, VMSACause.OVERLAY),
        (0b0101, 0b0001, VMSACause.OVERLAY),
        (0b0001, 0b0101, VMSACause.BASE_PERMISSION),
    ],
)
def test_the_overlay_is_looked_at_first(base: int, overlay: int, cause: Cause) -> None:
    registers = el1(TCR2_EL1=PIE | POE, PIR_EL1=perm(1, base), POR_EL1=perm(0, overlay))
    refused = refusal(one_page(indirect_leaf(1, 0), registers, "el1"), AccessKind.WRITE, 1, EL1H)
    assert refused is not None
    assert refused.decider.cause is cause


def test_an_overlay_that_refuses_is_the_register_of_the_level_that_asks() -> None:
    registers = el1(TCR2_EL1=POE | E0POE)
    found = one_page(leaf(0b01, 0, 0, 6), registers, "el1")
    for el, holder in ((1, "POR_EL1"), (0, "POR_EL0")):
        refused = refusal(found, AccessKind.READ, el, EL1H if el else 0)
        assert refused is not None
        assert (refused.decider.holder, refused.decider.value) == (holder, 0)
        assert refused.decider.field.mask == 0xF << 24


def test_table_bits_do_not_count_where_overlays_are_on() -> None:
    # R_BVXDG, as KVM has it: with POE or E0POE hierarchical permissions are disabled.  The pseudocode of Armv9.4 has
    # this for PIE only.  APTable [62:61], UXNTable [60], PXNTable [59].
    limits = 0b1111 << 59
    for poe in (POE, E0POE, POE | E0POE):
        registers = el1(TCR2_EL1=poe, POR_EL1=perm(0, 0b0111), POR_EL0=perm(0, 0b0111))
        found = one_page(leaf(0b01, 0, 0, 0), registers, "el1", (limits, limits, limits))
        assert (allowed(found, 1, EL1H), allowed(found, 0, 0)) == ("rw-", "rwx")


@pytest.mark.parametrize(
    ("name", "el", "mode", "registers"),
    [
        # (PIE, POR's value)
        pytest.param(
            "el2", 2, EL2H, lambda pie, por: el2(TCR2_EL2=POE | pie * PIE, PIR_EL2=perm(0, 7, 7), POR_EL2=por), id="el2"
        ),
        pytest.param(
            "el3",
            3,
            EL3H,
            lambda pie, por: el3(TCR_EL3=TCR_ONE | POE_EL3 | pie * PIE_EL3, PIR_EL3=perm(0, 7, 7), POR_EL3=por),
            id="el3",
        ),
        pytest.param(
            "el2-vhe",
            2,
            EL2H,
            lambda pie, por: el2_vhe(TCR2_EL2=POE | pie * PIE, PIR_EL2=perm(0, 7, 7), POR_EL2=por),
            id="el2-vhe",
        ),
    ],
)
def test_other_regimes_have_overlays_of_their_own(name: str, el: int, mode: int, registers) -> None:
    wrong = []
    for code, overlay in OVERLAYS.items():
        for pie in (0, 1):
            found = one_page(leaf(0b00, 0, 0, 3), registers(pie, perm(3, code)), name)
            # RWX both ways, and EL0 has no write.
            if (said := allowed(found, el, mode)) != overlay:
                wrong.append(f"PIE={pie} overlay={code:04b}: {said}, not {overlay}")
    settle(wrong)


def test_el0_of_a_host_is_overlaid_by_por_el0() -> None:
    registers = el2_vhe(TCR2_EL2=E0POE, POR_EL0=perm(3, 0b0001), POR_EL2=0)
    found = one_page(leaf(0b01, 0, 0, 3), registers, "el2-vhe")
    assert (allowed(found, 2, EL2H), allowed(found, 0, 0)) == ("rw-", "r--")


def test_there_are_no_overlays_without_the_feature() -> None:
    # ID_AA64MMFR3_EL1.S1POE [19:16]: TCR2_EL1.POE and E0POE are then RES0.
    registers = el1(TCR2_EL1=POE | E0POE, ID_AA64MMFR3_EL1=FEATURES["ID_AA64MMFR3_EL1"] & ~0xF_0000)
    found = one_page(leaf(0b01, 0, 0, 0), registers, "el1")
    assert (allowed(found, 1, EL1H), allowed(found, 0, 0)) == ("rw-", "rwx")
