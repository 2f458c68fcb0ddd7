"""A refusal names the bit that decides: which rule, in which register or at which descriptor, with which value.

What may happen at all is in truth/; here is why not.  Registers and descriptors are raw integers.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.registers.hypervisor import SCR_EL3
from gdbtools.arch.aarch64.registers.identification import ID_AA64PFR0_EL1
from gdbtools.arch.model import Access, AccessKind, Cause, Fault, FaultKind, Mapped, Refusal, Walk
from tests.arch.aarch64.truth.machine import (
    AF,
    ARM,
    DC,
    E0POE,
    EL1H,
    EL2H,
    EL3H,
    EPAN,
    HA,
    HD,
    IPA,
    PAN,
    PIE,
    POE,
    PTW,
    RW,
    S1_ROOT,
    S2_ROOT,
    S2PIE,
    SCTLR,
    TCR,
    VA,
    VM,
    VTCR,
    WXN,
    Memory,
    allowed,
    el1,
    el2,
    el2_vhe,
    el3,
    granted,
    guest,
    look,
    one_page,
    refusal,
)

READ, WRITE, EXECUTE, MAINTENANCE = AccessKind.READ, AccessKind.WRITE, AccessKind.EXECUTE, AccessKind.MAINTENANCE
# Leaf: AP[2:1] [7:6], DBM [51], PXN [53], UXN [54].  Table: PXNTable [59], UXNTable [60], APTable [62:61].
AP, DBM, PXN, UXN = 6, 1 << 51, 1 << 53, 1 << 54
PXNT, UXNT, AP_USER_T, AP_WRITE_T = 1 << 59, 1 << 60, 1 << 61, 1 << 62
TABLES = [S1_ROOT, S1_ROOT + 0x1000, S1_ROOT + 0x2000, S1_ROOT + 0x3000]
PLACES = [table + (VA >> low & 0x1FF) * 8 for table, low in zip(TABLES, (39, 30, 21, 12), strict=True)]
"""Where the descriptors of VA are, by level."""
LEAF = PLACES[3]

Said = tuple[Cause, str, str, int, "int | None", "int | None"]


def why(refused: Refusal | None) -> Said | None:
    """Return all of a decider: cause, holder, field, value, and where a descriptor is."""
    if refused is None:
        return None
    decider = refused.decider
    return decider.cause, decider.holder, decider.field.name, decider.value, decider.pa, decider.level


def in_leaf(cause: Cause, field: str, value: int) -> Said:
    return cause, "descriptor", field, value, LEAF, 3


def in_table(cause: Cause, field: str, value: int, level: int = 0) -> Said:
    return cause, "descriptor", field, value, PLACES[level], level


def by_register(cause: Cause, register: str, field: str, value: int) -> Said:
    return cause, register, field, value, None, None


# --- Stage 1, direct


@pytest.mark.parametrize(
    ("leaf", "tables", "kind", "el", "said"),
    [
        (0b10 << AP, 0, WRITE, 1, in_leaf(VMSACause.READ_ONLY, "AP", 0b10)),
        (0b11 << AP, 0, WRITE, 0, in_leaf(VMSACause.READ_ONLY, "AP", 0b11)),
        (0b00 << AP, AP_WRITE_T, WRITE, 1, in_table(VMSACause.READ_ONLY, "APTable", 0b10)),
        (0b01 << AP, AP_WRITE_T | AP_USER_T, WRITE, 1, in_table(VMSACause.READ_ONLY, "APTable", 0b11)),
        (0b10 << AP, AP_WRITE_T, WRITE, 1, in_leaf(VMSACause.READ_ONLY, "AP", 0b10)),
        (0b00 << AP, 0, READ, 0, in_leaf(VMSACause.PRIVILEGED_ONLY, "AP", 0b00)),
        (0b00 << AP, 0, WRITE, 0, in_leaf(VMSACause.PRIVILEGED_ONLY, "AP", 0b00)),
        (0b00 << AP, 0, MAINTENANCE, 0, in_leaf(VMSACause.PRIVILEGED_ONLY, "AP", 0b00)),
        (0b00 << AP, AP_USER_T, READ, 0, in_leaf(VMSACause.PRIVILEGED_ONLY, "AP", 0b00)),
        (0b01 << AP, AP_USER_T, READ, 0, in_table(VMSACause.PRIVILEGED_ONLY, "APTable", 0b01)),
        (0b11 << AP, AP_USER_T, WRITE, 0, in_table(VMSACause.PRIVILEGED_ONLY, "APTable", 0b01)),
        (UXN, 0, EXECUTE, 0, in_leaf(VMSACause.EXECUTE_NEVER, "UXN", 1)),
        (0, UXNT, EXECUTE, 0, in_table(VMSACause.EXECUTE_NEVER, "UXNTable", 1)),
        (UXN, UXNT, EXECUTE, 0, in_leaf(VMSACause.EXECUTE_NEVER, "UXN", 1)),
        (PXN, 0, EXECUTE, 1, in_leaf(VMSACause.EXECUTE_NEVER, "PXN", 1)),
        (0, PXNT, EXECUTE, 1, in_table(VMSACause.EXECUTE_NEVER, "PXNTable", 1)),
        (PXN, PXNT, EXECUTE, 1, in_leaf(VMSACause.EXECUTE_NEVER, "PXN", 1)),
        (0b01 << AP, 0, EXECUTE, 1, in_leaf(VMSACause.WRITABLE_BY_USER, "AP", 0b01)),
        (0b01 << AP | PXN, 0, EXECUTE, 1, in_leaf(VMSACause.EXECUTE_NEVER, "PXN", 1)),
        (0b01 << AP, PXNT, EXECUTE, 1, in_table(VMSACause.EXECUTE_NEVER, "PXNTable", 1)),
        (0b01 << AP, AP_WRITE_T, EXECUTE, 1, None),
        (0b01 << AP, AP_USER_T, EXECUTE, 1, None),
    ],
)
def test_two_levels_say_which_descriptor_decides(
    leaf: int, tables: int, kind: AccessKind, el: int, said: Said | None
) -> None:
    found = one_page(leaf, el1(), "el1", (tables, 0, 0))
    refused = refusal(found, kind, el, EL1H if el else 0)
    assert why(refused) == said
    assert refused is None or refused.fault == Fault(FaultKind.PERMISSION, 1, 3)


def test_the_table_nearest_to_the_root_is_the_one_that_decides() -> None:
    for tables, level in (((0, PXNT, PXNT), 1), ((0, 0, PXNT), 2), ((PXNT, 0, PXNT), 0)):
        found = one_page(0, el1(), "el1", tables)
        assert why(refusal(found, EXECUTE, 1, EL1H)) == in_table(VMSACause.EXECUTE_NEVER, "PXNTable", 1, level)


@pytest.mark.parametrize(("registers", "name", "el", "mode"), [(el2, "el2", 2, EL2H), (el3, "el3", 3, EL3H)])
def test_one_level_says_which_descriptor_decides(registers, name: str, el: int, mode: int) -> None:
    def asked(leaf: int, tables: int, kind: AccessKind) -> Said | None:
        return why(refusal(one_page(leaf, registers(), name, (tables, 0, 0)), kind, el, mode))

    assert asked(UXN, 0, EXECUTE) == in_leaf(VMSACause.EXECUTE_NEVER, "XN", 1)
    assert asked(0, UXNT, EXECUTE) == in_table(VMSACause.EXECUTE_NEVER, "XNTable", 1)
    assert asked(UXN, UXNT, EXECUTE) == in_leaf(VMSACause.EXECUTE_NEVER, "XN", 1)
    assert asked(0b10 << AP, 0, WRITE) == in_leaf(VMSACause.READ_ONLY, "AP", 0b10)
    assert asked(0, AP_WRITE_T, WRITE) == in_table(VMSACause.READ_ONLY, "APTable", 0b10)
    # With one privilege level, PXN, PXNTable, AP[1] and APTable[0] mean nothing.
    for leaf, tables in ((PXN, 0), (0, PXNT), (0, AP_USER_T), (0b01 << AP, 0)):
        assert [asked(leaf, tables, kind) for kind in (READ, WRITE, EXECUTE)] == [None, None, None]


@pytest.mark.parametrize(
    ("registers", "name", "el", "mode", "sctlr"),
    [(el1, "el1", 1, EL1H, "SCTLR_EL1"), (el2_vhe, "el2-vhe", 2, EL2H, "SCTLR_EL2"), (el2, "el2", 2, EL2H, "SCTLR_EL2"),
     (el3, "el3", 3, EL3H, "SCTLR_EL3")],
)  # fmt: skip
def test_wxn_is_named_by_the_register_that_has_it(registers, name: str, el: int, mode: int, sctlr: str) -> None:
    found = one_page(0, registers(**{sctlr: SCTLR | WXN}), name)
    assert why(refusal(found, EXECUTE, el, mode)) == by_register(VMSACause.WRITE_IMPLIES_EXECUTE_NEVER, sctlr, "WXN", 1)
    # What is execute-never without it keeps its own reason.
    found = one_page(UXN | PXN, registers(**{sctlr: SCTLR | WXN}), name)
    refused = refusal(found, EXECUTE, el, mode)
    assert refused is not None
    assert refused.decider.cause is VMSACause.EXECUTE_NEVER


def test_wxn_leaves_reading_and_writing_alone() -> None:
    found = one_page(0b01 << AP, el1(SCTLR_EL1=SCTLR | WXN), "el1")
    assert (allowed(found, 0, 0), granted(found, 0)) == ("rw-", "rw-")


@pytest.mark.parametrize("name", ["el1", "el2-vhe"])
def test_pan_and_epan_are_named(name: str) -> None:
    el, mode, registers, sctlr = {
        "el1": (1, EL1H, el1, "SCTLR_EL1"), "el2-vhe": (2, EL2H, el2_vhe, "SCTLR_EL2"),
    }[name]  # fmt: skip
    user = one_page(0b11 << AP, registers(), name)
    pan = by_register(VMSACause.PRIVILEGED_ACCESS_NEVER, "PSTATE", "PAN", 1)
    assert [why(refusal(user, kind, el, mode | PAN)) for kind in (READ, WRITE)] == [pan, pan]
    assert refusal(user, EXECUTE, el, mode | PAN) is None
    assert refusal(user, MAINTENANCE, el, mode | PAN) is None
    executable = one_page(0b00 << AP, registers(**{sctlr: SCTLR | EPAN}), name)
    epan = by_register(VMSACause.PRIVILEGED_ACCESS_NEVER, sctlr, "EPAN", 1)
    assert [why(refusal(executable, kind, el, mode | PAN)) for kind in (READ, WRITE)] == [epan, epan]


# --- A guest hypervisor's stage 1 (HCR_EL2.NV and NV1)


NV, NV1 = 1 << 42, 1 << 43
PXN_NESTED, PXNT_NESTED = 1 << 54, 1 << 60


def nested(leaf: int = 0, tables: int = 0, **registers: int) -> Walk:
    return one_page(leaf, {**guest(HCR_EL2=RW | NV | NV1), **registers}, "el1", (tables, 0, 0))


def test_a_guest_hypervisor_has_pxn_in_bit_54_and_no_el0_data() -> None:
    """AArch64.S1DirectBasePermissions: bit 54 is PXN, UXN counts as 0, AP[1] counts as 0."""
    for leaf, tables, privileged, user in (
        (0, 0, "rwx", "--x"),
        (PXN_NESTED, 0, "rw-", "--x"),
        (PXN, 0, "rwx", "--x"),
        (0b01 << AP, 0, "rwx", "--x"),
        (0b10 << AP, 0, "r-x", "--x"),
        (0b11 << AP, 0, "r-x", "--x"),
        (0, PXNT_NESTED, "rw-", "--x"),
        (0, PXNT, "rwx", "--x"),
        (0, AP_WRITE_T, "r-x", "--x"),
        (0, AP_USER_T, "rwx", "--x"),
    ):
        found = nested(leaf, tables)
        assert (granted(found, 1), granted(found, 0)) == (privileged, user), (hex(leaf), hex(tables))
        assert (allowed(found, 1, EL1H), allowed(found, 0, 0)) == (privileged, user), (hex(leaf), hex(tables))


def test_a_guest_hypervisor_needs_nv_and_nv1() -> None:
    for hcr in (RW | NV, RW | NV1):
        assert granted(one_page(PXN, guest(HCR_EL2=hcr), "el1"), 1) == "rw-"


def test_a_guest_hypervisors_refusals_name_their_bits() -> None:
    assert why(refusal(nested(PXN_NESTED), EXECUTE, 1, EL1H)) == in_leaf(VMSACause.EXECUTE_NEVER, "PXN", 1)
    said = in_table(VMSACause.EXECUTE_NEVER, "PXNTable", 1)
    assert why(refusal(nested(0, PXNT_NESTED), EXECUTE, 1, EL1H)) == said
    assert why(refusal(nested(0b01 << AP), READ, 0, 0)) == in_leaf(VMSACause.PRIVILEGED_ONLY, "AP", 0b01)
    assert why(refusal(nested(0b10 << AP), WRITE, 1, EL1H)) == in_leaf(VMSACause.READ_ONLY, "AP", 0b10)
    assert why(refusal(nested(0, AP_WRITE_T), WRITE, 1, EL1H)) == in_table(VMSACause.READ_ONLY, "APTable", 0b10)


def test_a_guest_hypervisors_ldtr_is_its_own() -> None:
    found = nested()
    assert refusal(found, READ, 1, EL1H, unprivileged=True) is None
    plain = one_page(0, guest(HCR_EL2=RW), "el1")
    assert refusal(plain, READ, 1, EL1H, unprivileged=True) is not None


def test_a_guest_hypervisors_dirty_state_is_its_own_leafs() -> None:
    assert [said.attributes and said.attributes.dirty for said in (nested(DBM), nested(DBM | 0b10 << AP))] == [
        True,
        False,
    ]


# --- Stage 1, indirect, and overlays


def perm(index: int, value: int, elsewhere: int = 0) -> int:
    return sum((value if each == index else elsewhere) << 4 * each for each in range(16))


def indexed(index: int, dirty: int = 1, overlay: int = 0) -> int:
    """PIIndex is bits {54, 53, 51, 6}, nDirty is [7], POIndex is [62:60]."""
    bits = index >> 3 << 54 | (index >> 2 & 1) << 53 | (index >> 1 & 1) << 51 | (index & 1) << 6
    return bits | (1 - dirty) << 7 | overlay << 60


def test_a_base_permission_is_named_by_register_and_index() -> None:
    registers = el1(TCR2_EL1=PIE, PIR_EL1=perm(13, 0b1000), PIRE0_EL1=perm(13, 0b1010))
    found = one_page(indexed(13), registers, "el1")
    assert why(refusal(found, WRITE, 1, EL1H)) == by_register(VMSACause.BASE_PERMISSION, "PIR_EL1", "Perm13", 0b1000)
    assert why(refusal(found, EXECUTE, 1, EL1H)) == by_register(VMSACause.BASE_PERMISSION, "PIR_EL1", "Perm13", 0b1000)
    assert why(refusal(found, WRITE, 0, 0)) == by_register(VMSACause.BASE_PERMISSION, "PIRE0_EL1", "Perm13", 0b1010)
    nothing = one_page(indexed(2), registers, "el1")
    assert why(refusal(nothing, READ, 1, EL1H)) == by_register(VMSACause.BASE_PERMISSION, "PIR_EL1", "Perm2", 0)


def test_what_is_not_dirty_is_named_by_its_own_bit_and_a_permission_goes_first() -> None:
    registers = el1(TCR2_EL1=PIE, PIR_EL1=perm(5, 0b1100), PIRE0_EL1=perm(5, 0b1000))
    found = one_page(indexed(5, dirty=0), registers, "el1")
    assert why(refusal(found, WRITE, 1, EL1H)) == in_leaf(VMSACause.NOT_DIRTY, "nDirty", 1)
    assert why(refusal(found, WRITE, 0, 0)) == by_register(VMSACause.BASE_PERMISSION, "PIRE0_EL1", "Perm5", 0b1000)
    # Where hardware records the write, nothing refuses it.
    registers["TCR_EL1"] = TCR | HA | HD
    assert refusal(one_page(indexed(5, dirty=0), registers, "el1"), WRITE, 1, EL1H) is None


@pytest.mark.parametrize(("above", "below"), [(0b1010, 0b1100), (0b1001, 0b1100), (0b1010, 0b1001), (0b1110, 0b0101)])
def test_what_el0_may_write_and_el1_execute_grants_nothing_and_says_so(above: int, below: int) -> None:
    registers = el1(TCR2_EL1=PIE, PIR_EL1=perm(3, above), PIRE0_EL1=perm(3, below))
    found = one_page(indexed(3), registers, "el1")
    said = by_register(VMSACause.WRITABLE_BY_USER, "PIRE0_EL1", "Perm3", below)
    for kind in (READ, WRITE, EXECUTE):
        assert why(refusal(found, kind, 1, EL1H)) == said
        assert why(refusal(found, kind, 0, 0)) == said
    assert (granted(found, 1), granted(found, 0)) == ("---", "---")


def test_a_guarded_control_stack_is_shown_and_goes_with_the_overlay() -> None:
    """Encoding 0b1001: read, and written by GCS instructions alone."""
    registers = el1(TCR2_EL1=PIE, PIR_EL1=perm(3, 0b1001), PIRE0_EL1=perm(3, 0b1000))
    attributes = one_page(indexed(3), registers, "el1").attributes
    assert attributes is not None
    assert (str(attributes.rights[1]), attributes.rights[1].shadow_stack) == ("rg-", True)
    assert (str(attributes.rights[0]), attributes.rights[0].shadow_stack) == ("r--", False)
    registers |= {"TCR2_EL1": PIE | POE | E0POE, "POR_EL1": perm(2, 0), "POR_EL0": 0}
    attributes = one_page(indexed(3, overlay=2), registers, "el1").attributes
    assert attributes is not None
    assert attributes.rights[1].shadow_stack, "encodings from 0b1000 on have no overlay"


@pytest.mark.parametrize(
    ("name", "registers", "el", "state", "kept"),
    [
        pytest.param("el1", el1, 1, 0, False, id="Secure"),
        pytest.param("el1", el1, 1, int(SCR_EL3(0).with_(NS=1)), True, id="Non-secure"),
        pytest.param("el2", el2, 2, int(SCR_EL3(0).with_(NS=1, NSE=1)), True, id="Realm"),
    ],
)
def test_a_call_stack_of_secure_state_stays_in_secure_memory(
    name: str, registers: Callable[..., dict[str, int]], el: int, state: int, kept: bool
) -> None:
    """R_CYSKB: whatever SCR_EL3.SIF says; of the states, Realm is not among those it names."""
    given = registers(**{f"TCR2_EL{el}": PIE, f"PIR_EL{el}": perm(3, 0b1001)})
    has_el3 = ID_AA64PFR0_EL1.EL3.into(given.get("ID_AA64PFR0_EL1", 0), 1)
    given |= {"ID_AA64PFR0_EL1": has_el3, "SCR_EL3": int(SCR_EL3(state).with_(TCR2En=1, PIEn=1))}
    given |= {"PIRE0_EL1": 0} if el == 1 else {}
    for non_secure, said in ((0, True), (1, kept)):
        attributes = one_page(indexed(3) | non_secure << 5, given, name).attributes
        assert attributes is not None
        assert attributes.rights[el].shadow_stack is said


def test_pan_covers_a_guarded_control_stack_of_el0() -> None:
    registers = el1(TCR2_EL1=PIE, PIR_EL1=perm(3, 0b1100), PIRE0_EL1=perm(3, 0b1001))
    found = one_page(indexed(3), registers, "el1")
    assert why(refusal(found, READ, 1, EL1H | PAN)) == by_register(
        VMSACause.PRIVILEGED_ACCESS_NEVER, "PSTATE", "PAN", 1
    )
    assert refusal(found, READ, 1, EL1H) is None


def test_with_indirection_pan_always_covers_what_el0_may_execute() -> None:
    """... and names what says so; SCTLR_EL1.EPAN has no say."""
    registers = el1(TCR2_EL1=PIE, PIR_EL1=perm(3, 0b1100), PIRE0_EL1=perm(3, 0b0010))
    refused = refusal(one_page(indexed(3), registers, "el1"), READ, 1, EL1H | PAN)
    assert refused is not None
    assert refused.decider.cause is VMSACause.PRIVILEGED_ACCESS_NEVER


def test_an_overlay_is_named_by_register_and_index() -> None:
    registers = el1(TCR2_EL1=POE | E0POE, POR_EL1=perm(5, 0b0001), POR_EL0=perm(5, 0b0010))
    found = one_page(5 << 60 | 0b01 << AP, registers, "el1")
    assert why(refusal(found, WRITE, 1, EL1H)) == by_register(VMSACause.OVERLAY, "POR_EL1", "Perm5", 0b0001)
    assert why(refusal(found, READ, 0, 0)) == by_register(VMSACause.OVERLAY, "POR_EL0", "Perm5", 0b0010)
    # Where both refuse, ESR_ELx.Overlay is set: it is the overlay that is named.
    assert why(refusal(found, EXECUTE, 1, EL1H)) == by_register(VMSACause.OVERLAY, "POR_EL1", "Perm5", 0b0001)
    # And where it does not, the leaf is.
    wide = el1(TCR2_EL1=POE, POR_EL1=perm(5, 0b0111))
    found = one_page(5 << 60 | 0b01 << AP, wide, "el1")
    assert why(refusal(found, EXECUTE, 1, EL1H)) == in_leaf(VMSACause.WRITABLE_BY_USER, "AP", 0b01)


def test_wxn_under_an_overlay_takes_the_right_to_write() -> None:
    """R_NPBXC: what an overlay leaves executable is not writable; what it takes execution from may be written."""
    for value, expected in ((0b0111, "r-x"), (0b0101, "rw-"), (0b0011, "r-x"), (0b0110, "--x"), (0b0100, "-w-"),
                            (0b0010, "--x"), (0b0001, "r--"), (0b0000, "---")):  # fmt: skip
        registers = el1(SCTLR_EL1=SCTLR | WXN, TCR2_EL1=POE, POR_EL1=perm(5, value))
        found = one_page(5 << 60, registers, "el1")
        assert (granted(found, 1), allowed(found, 1, EL1H)) == (expected, expected), f"{value:04b}"
    registers = el1(SCTLR_EL1=SCTLR | WXN, TCR2_EL1=POE, POR_EL1=perm(5, 0b0111))
    said = by_register(VMSACause.WRITE_IMPLIES_EXECUTE_NEVER, "SCTLR_EL1", "WXN", 1)
    assert why(refusal(one_page(5 << 60, registers, "el1"), WRITE, 1, EL1H)) == said


def test_base_permission_0b0110_is_writable_or_executable_and_says_why() -> None:
    registers = el1(TCR2_EL1=PIE, PIR_EL1=perm(3, 0b0110))
    found = one_page(indexed(3), registers, "el1")
    said = by_register(VMSACause.WRITE_IMPLIES_EXECUTE_NEVER, "PIR_EL1", "Perm3", 0b0110)
    assert (granted(found, 1), why(refusal(found, EXECUTE, 1, EL1H))) == ("rw-", said)


def test_only_what_somebody_may_write_is_clean_or_dirty() -> None:
    for permission, of_el1, of_el0 in ((0b1100, True, False), (0b1000, False, True), (0b1000, False, False)):
        user = perm(4, 0b1100 if of_el0 else 0b1000)
        registers = el1(TCR2_EL1=PIE, PIR_EL1=perm(4, permission), PIRE0_EL1=user)
        for dirty in (True, False):
            attributes = one_page(indexed(4, dirty=dirty), registers, "el1").attributes
            assert attributes is not None
            assert attributes.dirty is (dirty if of_el1 or of_el0 else None)


# --- The MMU off


def test_with_the_mmu_off_every_level_may_do_everything() -> None:
    found = look(Memory(), el1(SCTLR_EL1=0), "el1")
    assert (granted(found, 0), granted(found, 1)) == ("rwx", "rwx")
    attributes = found.attributes
    assert attributes is not None
    assert (attributes.accessed, attributes.dirty, attributes.is_global, attributes.contiguous) == (
        True, None, True, False,
    )  # fmt: skip
    for kind in (READ, WRITE, EXECUTE, MAINTENANCE):
        assert refusal(found, kind, 0, 0) is None
    assert list((look(Memory(), el2(SCTLR_EL2=0), "el2").attributes or attributes).rights) == [2]


def test_with_the_mmu_off_too_the_top_byte_is_ignored_for_data_alone_where_tbid_says_so() -> None:
    found = look(Memory(), el1(SCTLR_EL1=0, TCR_EL1=TCR | TBI0 | TBID0), "el1", 0xAB << 56 | VA)
    assert [refusal(found, kind, 1, EL1H) for kind in (READ, WRITE, MAINTENANCE)] == [None, None, None]
    refused = refusal(found, EXECUTE, 1, EL1H)
    assert refused is not None
    assert refused.fault == Fault(FaultKind.ADDRESS_SIZE, 1, 0)


# --- Entries


def leaf_changed(bits: int, **registers: int) -> Walk:
    memory = Memory()
    memory.stage1(0)
    memory.words[LEAF] ^= bits
    return look(memory, el1(**registers), "el1")


@pytest.mark.parametrize(
    ("bits", "kind", "cause", "field", "value"),
    [
        (1, FaultKind.TRANSLATION, VMSACause.INVALID_ENTRY, "VALID", 0),
        (2, FaultKind.TRANSLATION, VMSACause.RESERVED_ENTRY, "TYPE", 1),
        (AF, FaultKind.ACCESS_FLAG, VMSACause.NOT_ACCESSED, "AF", 0),
    ],
)
def test_an_entry_that_is_refused_says_why(bits: int, kind: FaultKind, cause: Cause, field: str, value: int) -> None:
    found = leaf_changed(bits)
    assert found.outcome == Fault(kind, 1, 3)
    assert why(found.refusal) == in_leaf(cause, field, value)


def test_an_address_that_is_too_large_says_whose() -> None:
    small = TCR & ~(7 << 32) | 4 << 32
    found = leaf_changed(1 << 45, TCR_EL1=small)
    assert found.outcome == Fault(FaultKind.ADDRESS_SIZE, 1, 3)
    assert found.refusal is not None
    assert found.refusal.decider.cause is VMSACause.OUTPUT_TOO_LARGE
    assert found.refusal.decider.field.name == "OutputAddress"
    memory = Memory()
    memory.stage1(0)
    memory.words[PLACES[1]] |= 1 << 45
    found = look(memory, el1(TCR_EL1=small), "el1")
    assert found.outcome == Fault(FaultKind.ADDRESS_SIZE, 1, 1)
    assert found.refusal is not None
    assert (found.refusal.decider.cause, found.refusal.decider.field.name) == (VMSACause.TABLE_TOO_LARGE, "NextTable")
    assert (found.refusal.decider.pa, found.refusal.decider.level) == (PLACES[1], 1)


def test_the_output_size_goes_before_the_access_flag() -> None:
    """ "MMU fault prioritization": address size, then access flag."""
    found = leaf_changed(1 << 45 | AF, TCR_EL1=TCR & ~(7 << 32) | 4 << 32)
    assert found.outcome == Fault(FaultKind.ADDRESS_SIZE, 1, 3)


def test_an_output_at_the_last_byte_of_the_output_size_is_not_too_large() -> None:
    found = one_page(0, el1(TCR_EL1=TCR & ~(7 << 32) | 4 << 32), "el1")
    memory = Memory()
    memory.stage1(0, output=(1 << 44) - 4096)
    assert isinstance(found.outcome, Mapped)
    at_the_end = look(memory, el1(TCR_EL1=TCR & ~(7 << 32) | 4 << 32), "el1")
    assert at_the_end.outcome == Mapped((1 << 44) - 4096, 4096)


# --- Stage 2


NORMAL, DEVICE = 0b1111 << 2 | 3 << 8, 0b0000 << 2
S2AP, XN_AT = 6, 53
IPA_LEAF = S2_ROOT + 0x2000 + (IPA >> 12 & 0x1FF) * 8


def through(stage2: int, tables: int = NORMAL | 1 << 6, stage1: int = 0b01 << AP, **registers: int) -> Walk:
    memory = Memory()
    memory.stage1(stage1, output=IPA)
    memory.stage2(stage2)
    memory.identity(tables)
    found = look(memory, guest(**registers), "el1")
    assert memory.leaf_at(S2_ROOT, IPA) == IPA_LEAF
    return found


@pytest.mark.parametrize(
    ("leaf", "kind", "el", "cause", "field", "value"),
    [
        (0b10 << S2AP, READ, 1, VMSACause.NO_READ, "S2AP", 0b10),
        (0b01 << S2AP, WRITE, 1, VMSACause.NO_WRITE, "S2AP", 0b01),
        (0b00 << S2AP, READ, 0, VMSACause.NO_READ, "S2AP", 0b00),
        (0b00 << S2AP, MAINTENANCE, 0, VMSACause.NO_READ, "S2AP", 0b00),
        (0b11 << S2AP | 0b10 << XN_AT, EXECUTE, 0, VMSACause.EXECUTE_NEVER, "XN", 0b10),
        (0b11 << S2AP | 0b11 << XN_AT, EXECUTE, 0, VMSACause.EXECUTE_NEVER, "XN", 0b11),
    ],
)
def test_stage_2_names_its_own_descriptor(
    leaf: int, kind: AccessKind, el: int, cause: Cause, field: str, value: int
) -> None:
    refused = refusal(through(NORMAL | leaf), kind, el, EL1H if el else 0)
    assert why(refused) == (cause, "descriptor", field, value, IPA_LEAF, 3)
    assert refused is not None
    assert refused.fault == Fault(FaultKind.PERMISSION, 2, 3)


def test_stage_2_has_no_say_in_cache_maintenance_of_el1() -> None:
    assert refusal(through(NORMAL), MAINTENANCE, 1, EL1H) is None
    assert refusal(through(NORMAL), AccessKind.INVALIDATION, 1, EL1H) is None


def test_stage_1_refuses_before_stage_2_does() -> None:
    refused = refusal(through(NORMAL, stage1=0b11 << AP), WRITE, 0, 0)
    assert refused is not None
    assert refused.fault == Fault(FaultKind.PERMISSION, 1, 3)


def test_an_indirect_stage_2_names_register_or_dirty_bit() -> None:
    # PIIndex {54, 53, 51, 6}; Dirty [7].
    leaf = NORMAL | 1 << 53 | 1 << 6
    registers = {"VTCR_EL2": VTCR | S2PIE, "S2PIR_EL2": perm(5, 0b1100, 0b1000)}
    tables = NORMAL | 1 << 7
    found = through(leaf, tables, **registers)
    assert why(refusal(found, WRITE, 1, EL1H)) == (VMSACause.NOT_DIRTY, "descriptor", "Dirty", 0, IPA_LEAF, 3)
    assert why(refusal(found, EXECUTE, 0, 0)) == by_register(VMSACause.BASE_PERMISSION, "S2PIR_EL2", "Perm5", 0b1100)
    readonly = through(leaf, tables, VTCR_EL2=VTCR | S2PIE, S2PIR_EL2=perm(5, 0b1000, 0b1000))
    assert why(refusal(readonly, WRITE, 1, EL1H)) == by_register(
        VMSACause.BASE_PERMISSION, "S2PIR_EL2", "Perm5", 0b1000
    )
    nothing = through(leaf, tables, VTCR_EL2=VTCR | S2PIE, S2PIR_EL2=perm(5, 0b0000, 0b1000))
    assert why(refusal(nothing, READ, 0, 0)) == by_register(VMSACause.BASE_PERMISSION, "S2PIR_EL2", "Perm5", 0)


@pytest.mark.parametrize("memattr", [0b0000, 0b0001, 0b0010, 0b0011])
def test_a_walk_of_device_memory_is_refused_under_ptw_and_names_it(memattr: int) -> None:
    found = through(NORMAL | 3 << S2AP, memattr << 2 | 1 << 6, HCR_EL2=VM | RW | PTW)
    assert found.outcome == Fault(FaultKind.PERMISSION, 2, 3, s1ptw=True)
    assert why(found.refusal) == by_register(VMSACause.DEVICE_WALK, "HCR_EL2", "PTW", 1)
    assert isinstance(through(NORMAL | 3 << S2AP, memattr << 2 | 1 << 6).outcome, Mapped)
    # FWB: bit 2 of MemAttr alone says whether it is Device.
    normal = through(NORMAL | 3 << S2AP, 0b0100 << 2 | 1 << 6, HCR_EL2=VM | RW | PTW)
    assert isinstance(normal.outcome, Mapped)


def test_with_fwb_it_is_bit_2_of_memattr_that_says_device() -> None:
    fwb = VM | RW | PTW | 1 << 46
    for memattr, device in ((0b0000, True), (0b1000, True), (0b1011, True), (0b0110, False), (0b0111, False)):
        found = through(NORMAL | 3 << S2AP, memattr << 2 | 1 << 6, HCR_EL2=fwb)
        assert isinstance(found.outcome, Fault) == device, f"{memattr:04b}"


def test_default_cacheability_turns_stage_2_on_and_stage_1_off() -> None:
    memory = Memory()
    memory.stage2(NORMAL | 3 << S2AP)
    found = look(memory, guest(HCR_EL2=RW | DC), "el1", IPA)
    assert isinstance(found.outcome, Mapped)
    assert found.steps == ()
    assert found.final is not None


def test_an_unprivileged_access_is_el0s_at_stage_2_too() -> None:
    found = through(NORMAL | 3 << S2AP | 0b11 << XN_AT)
    assert ARM.check(found, Access(EXECUTE, 1), EL1H) is not None, "stage 1: EL0 may write it"
    assert ARM.check(found, Access(READ, 1, unprivileged=True), EL1H) is None


def test_what_grants_nothing_to_either_is_no_matter_of_overlays() -> None:
    """R_VFPJF: EL0 may write and EL1 may execute, and the overlays refuse too: it is PIRE0_EL1 that decides."""
    registers = el1(TCR2_EL1=PIE | POE | E0POE, PIR_EL1=perm(3, 0b0011), PIRE0_EL1=perm(3, 0b0101))
    registers |= {"POR_EL1": 0, "POR_EL0": 0}
    found = one_page(indexed(3), registers, "el1")
    said = by_register(VMSACause.WRITABLE_BY_USER, "PIRE0_EL1", "Perm3", 0b0101)
    assert why(refusal(found, READ, 1, EL1H)) == why(refusal(found, WRITE, 0, 0)) == said


def test_an_overlay_that_refuses_to_write_goes_before_wxn() -> None:
    registers = el1(SCTLR_EL1=SCTLR | WXN, TCR2_EL1=POE, POR_EL1=perm(5, 0b0010))
    said = by_register(VMSACause.OVERLAY, "POR_EL1", "Perm5", 0b0010)
    assert why(refusal(one_page(5 << 60, registers, "el1"), WRITE, 1, EL1H)) == said


# --- What is refused whatever the tables hold


TBI0, TBI1, TBID0, TBID1, E0PD0 = 1 << 37, 1 << 38, 1 << 51, 1 << 52, 1 << 55
LOWEST, HIGHEST = 0, (1 << 48) - 4096


def at_both_ends(va: int, **registers: int) -> Walk:
    memory = Memory()
    memory.stage1(0b11 << AP, va=LOWEST)
    memory.stage1(0b11 << AP, va=HIGHEST)
    return look(memory, el1(**registers), "el1", va)


def test_the_tag_of_an_address_is_what_tbi_and_mtx_leave_out_of_it() -> None:
    tagged, upper = 0xAB << 56 | VA, 0xAB << 56 | (1 << 56) - (1 << 47)
    assert look(Memory(), el1(TCR_EL1=TCR | TBI0), "el1", tagged).regime.tag_of(tagged) == 0xAB << 56
    assert look(Memory(), el1(TCR_EL1=TCR | TBI0), "el1", VA).regime.tag_of(VA) == 0
    assert look(Memory(), el1(), "el1", tagged).regime.tag_of(tagged) == 0
    assert look(Memory(), el1(TCR_EL1=TCR | TBI1), "el1", upper).regime.tag_of(upper) == 0xAB << 56
    canonical = (1 << 64) - (1 << 47)
    assert look(Memory(), el1(TCR_EL1=TCR | TBI1), "el1", canonical).regime.tag_of(canonical) == 0


def test_with_tbid_a_fetch_from_a_tagged_address_is_refused_and_nothing_else_is() -> None:
    """TCR_ELx.TBIDn: the top byte is ignored for data alone; a fetch faults as outside the range, at level 0."""
    tag, upper = 0xAB << 56, 0xFFFF << 48
    data_only = TCR | TBI0 | TBI1 | TBID0 | TBID1
    for va, field in ((tag, "TBID0"), (tag | HIGHEST, "TBID0"), ((upper & ~tag) | 0xFFFF_FFFF_F000, "TBID1")):
        found = at_both_ends(va, TCR_EL1=data_only)
        assert isinstance(found.outcome, Mapped), hex(va)
        refused = refusal(found, EXECUTE, 1, EL1H)
        assert refused is not None
        assert refused.fault == Fault(FaultKind.TRANSLATION, 1, 0)
        assert why(refused) == by_register(VMSACause.TAGGED_FETCH, "TCR_EL1", field, 1)
        assert [refusal(found, kind, 1, EL1H) for kind in (READ, MAINTENANCE)] == [None, None]
        assert refusal(at_both_ends(va, TCR_EL1=TCR | TBI0 | TBI1), EXECUTE, 1, EL1H) is None
    for va in (LOWEST, HIGHEST | 4095, upper, (1 << 64) - 1):
        assert refusal(at_both_ends(va, TCR_EL1=data_only), EXECUTE, 1, EL1H) is None, hex(va)


def test_e0pd_names_itself_and_counts_only_where_it_is_implemented() -> None:
    refused = refusal(one_page(0b01 << AP, el1(TCR_EL1=TCR | E0PD0), "el1"), READ, 0, 0)
    assert why(refused) == by_register(VMSACause.PRIVILEGED_ONLY, "TCR_EL1", "E0PD0", 1)
    without = el1(TCR_EL1=TCR | E0PD0, ID_AA64MMFR2_EL1=0)
    assert refusal(one_page(0b01 << AP, without, "el1"), READ, 0, 0) is None


# --- What an entry is decoded as


def test_an_entry_that_is_none_leads_nowhere() -> None:
    memory = Memory()
    memory.stage1(0)
    for at, entry in ((LEAF, PA_BITS), (LEAF, PA_BITS | 0b01), (PLACES[0], PA_BITS | 0b01)):
        kept = memory.words[at]
        memory.words[at] = entry
        assert look(memory, el1(), "el1").steps[-1].entry.address == 0, hex(entry)
        memory.words[at] = kept


PA_BITS = 0x7654_3000


def test_a_block_is_called_so_and_has_nt_and_a_page_neither() -> None:
    page = one_page(0, el1(), "el1").steps[-1].entry.word
    memory = Memory()
    memory.stage1(0)
    memory.words[PLACES[2]] = 0x7640_0000 | 0b01 | AF | 1 << 16
    block = look(memory, el1(), "el1").steps[-1].entry.word
    assert (type(page).__name__, type(block).__name__) == ("PageDescriptor", "BlockDescriptor")
    assert block.field("nT").of(block) == 1
    assert "nT" not in {field.name for field in page.fields()}


def test_only_where_overlays_are_on_has_a_leaf_an_index_into_them() -> None:
    def names(found: Walk) -> set[str]:
        return {field.name for field in found.steps[-1].entry.word.fields()}

    assert "POIndex" not in names(one_page(0, el1(), "el1"))
    for on in (POE, E0POE):
        assert "POIndex" in names(one_page(0, el1(TCR2_EL1=on), "el1"))
    found = through(NORMAL | 3 << S2AP)
    assert found.final is not None
    assert "POIndex" not in names(found.final)


# --- What there is nothing to say of


def test_a_walk_that_ends_in_no_leaf_has_no_attributes() -> None:
    memory = Memory()
    memory.stage1(0)
    memory.words[LEAF] = 0
    assert look(memory, el1(), "el1").attributes is None
    assert look(memory, el1(TCR_EL1=TCR | 1 << 7), "el1").attributes is None, "EPD0: nothing was read"
    for ipa in (IPA, 1 << 40):
        assert look(memory, guest(), "stage2", ipa).attributes is None


def test_a_regime_of_one_level_has_only_global_entries() -> None:
    for name, registers in (("el2", el2()), ("el3", el3())):
        attributes = one_page(1 << 11, registers, name).attributes
        assert attributes is not None
        assert attributes.is_global, name
    attributes = one_page(1 << 11, el1(), "el1").attributes
    assert attributes is not None
    assert not attributes.is_global


def test_with_the_mmu_off_memory_is_device_for_data_and_by_default_write_back_under_dc() -> None:
    off, default = look(Memory(), el1(SCTLR_EL1=0), "el1"), look(Memory(), guest(HCR_EL2=RW | DC), "el1", IPA)
    assert off.attributes is not None
    assert default.attributes is not None
    assert off.attributes.memory == "Device-nGnRnE for data; instruction fetches as SCTLR.I says"
    assert default.attributes.memory == "Normal Write-Back RW-allocate"


# --- Hardware updates through stage 2


def test_hardware_may_set_the_access_flag_through_what_is_mostly_read_only() -> None:
    """S2PIR_EL2: the "mostly read-only" encodings let the table walker write, plain read-only does not."""
    mostly_read_only = (0b0010, 0b0011, 0b0110, 0b0111)
    for encoding, may in ((0b1000, False), (0b1100, True), *((each, True) for each in mostly_read_only)):
        memory = Memory()
        memory.stage1(0, output=IPA)
        memory.words[LEAF] &= ~AF
        memory.stage2(NORMAL | 1 << 53 | 1 << 6 | 1 << 7)
        memory.identity(NORMAL | 1 << 7)
        registers = guest(VTCR_EL2=VTCR | S2PIE, S2PIR_EL2=perm(5, 0b1100, encoding), TCR_EL1=TCR | HA)
        found = look(memory, registers, "el1")
        refused = refusal(found, READ, 1, EL1H)
        assert (refused is None) == may, f"{encoding:04b}"
        assert refused is None or refused.fault == Fault(FaultKind.PERMISSION, 2, 3, s1ptw=True)


def test_a_table_that_may_not_be_read_is_refused_for_that_even_on_device_memory() -> None:
    found = through(NORMAL | 3 << S2AP, DEVICE, HCR_EL2=VM | RW | PTW)
    assert found.refusal is not None
    assert found.refusal.decider.cause is VMSACause.NO_READ


def test_stage_2_has_only_global_entries_and_its_own_walk_says_so() -> None:
    memory = Memory()
    memory.stage2(NORMAL | 3 << S2AP | 1 << 11)
    attributes = look(memory, guest(), "stage2", IPA).attributes
    assert attributes is not None
    assert attributes.is_global


def test_what_stage_2_does_not_map_has_the_attributes_of_stage_1() -> None:
    memory = Memory()
    memory.stage1(0b10 << AP, output=IPA + 0x1000)
    memory.stage2(NORMAL | 3 << S2AP)
    memory.identity(NORMAL | 1 << 6)
    found = look(memory, guest(), "el1")
    assert found.outcome == Fault(FaultKind.TRANSLATION, 2, 3)
    assert granted(found, 1) == "r-x"
