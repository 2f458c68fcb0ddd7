"""Instruction fetches across physical address spaces, by raw bits.

DDI 0487, "SCR_EL3.SIF", rules R_ZWRVD and I_WWBFB (Root), R_PKTDS (Realm EL2 and EL2&0), R_YMCSL and R_GYNXY (Realm
stage 2), I_CZPRF (Realm EL1&0), and Arm's pseudocode AArch64.S1DirectBasePermissions.
"""

from __future__ import annotations

import pytest

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.model import AccessKind, Cause, Fault, FaultKind, Refusal, Walk
from tests.arch.aarch64.truth.machine import (
    EL1H,
    EL2H,
    IPA,
    PIE,
    TCR2EN,
    VA,
    Memory,
    el1,
    el2,
    el2_vhe,
    el3,
    guest,
    look,
    one_page,
    refusal,
)

READ, EXECUTE = AccessKind.READ, AccessKind.EXECUTE
# SCR_EL3: NS [0], SIF [9], RW [10], EEL2 [18], HXEn [38], TCR2En [43], PIEn [45], NSE [62].
SECURE, NON_SECURE, REALM, SIF = 1 << 10 | 1 << 38 | 1 << 43 | 1 << 45, 1, 1 << 62 | 1, 1 << 9
# ID_AA64PFR0_EL1: EL0 to EL3 in AArch64, RME [55:52].
ALL_LEVELS, RME = 0x1111, 1 << 52
# A leaf's NS [5], NSE [11] (EL3 under RME), NS [55] (Realm stage 2); a table's NSTable [63].
NS, NSE, S2_NS, NSTABLE = 1 << 5, 1 << 11, 1 << 55, 1 << 63
RWX2 = 0b11 << 6 | 0b1111 << 2


def secure_el1(scr: int, leaf: int, nstable: bool = False, **registers: int) -> Walk:
    values = el1(ID_AA64PFR0_EL1=ALL_LEVELS, SCR_EL3=scr, **registers)
    return one_page(leaf, values, "el1", (NSTABLE if nstable else 0, 0, 0))


def fetched(found: Walk, el: int, mode: int = EL1H) -> Cause | None:
    refused = refusal(found, EXECUTE, el, mode)
    if refused is None:
        return None
    assert refused.fault == Fault(FaultKind.PERMISSION, found.regime.stage, 3)
    return refused.decider.cause


@pytest.mark.parametrize("el", [0, 1])
def test_sif_keeps_secure_state_from_non_secure_instructions(el: int) -> None:
    assert fetched(secure_el1(SECURE | SIF, NS), el) is VMSACause.SECURE_FETCH
    assert fetched(secure_el1(SECURE | SIF, 0), el) is None
    assert fetched(secure_el1(SECURE, NS), el) is None
    assert fetched(secure_el1(SECURE | SIF | NON_SECURE, NS), el) is None
    assert refusal(secure_el1(SECURE | SIF, NS), READ, 1, EL1H) is None


@pytest.mark.parametrize("leaf", [0, NS])
def test_what_the_kernel_keeps_to_itself_it_keeps_in_non_secure_memory_too(leaf: int) -> None:
    assert refusal(secure_el1(SECURE, leaf), READ, 0, EL1H) is not None
    assert refusal(secure_el1(SECURE, leaf), READ, 1, EL1H) is None


def test_a_table_can_make_it_non_secure_whatever_hpd_says() -> None:
    hpd0 = el1()["TCR_EL1"] | 1 << 41
    assert fetched(secure_el1(SECURE | SIF, 0, nstable=True), 1) is VMSACause.SECURE_FETCH
    assert fetched(secure_el1(SECURE | SIF, 0, nstable=True, TCR_EL1=hpd0), 1) is VMSACause.SECURE_FETCH


def test_sif_counts_with_indirect_permissions_too() -> None:
    anything = 0xEEEE_EEEE_EEEE_EEEE
    found = secure_el1(SECURE | SIF, NS, TCR2_EL1=PIE, PIR_EL1=anything, PIRE0_EL1=0)
    assert fetched(found, 1) is VMSACause.SECURE_FETCH


def test_a_cpu_without_el3_has_no_sif() -> None:
    found = one_page(NS, el1(ID_AA64PFR0_EL1=0x0011, SCR_EL3=SIF), "el1")
    assert fetched(found, 1) is None


@pytest.mark.parametrize(("leaf", "said"), [(NS, VMSACause.SECURE_FETCH), (0, None)])
def test_el3_is_secure_without_rme(leaf: int, said: Cause | None) -> None:
    assert fetched(one_page(leaf, el3(SCR_EL3=SECURE | SIF | NON_SECURE), "el3"), 3, 0b1101) is said


@pytest.mark.parametrize(("nse", "ns", "own"), [(0, 0, False), (0, 1, False), (1, 0, True), (1, 1, False)])
@pytest.mark.parametrize("sif", [0, SIF])
def test_root_fetches_from_its_own_space_only(nse: int, ns: int, own: bool, sif: int) -> None:
    registers = el3(ID_AA64PFR0_EL1=ALL_LEVELS | RME, SCR_EL3=SECURE | sif)
    found = one_page(NSE * nse | NS * ns, registers, "el3")
    assert fetched(found, 3, 0b1101) is (None if own else VMSACause.FOREIGN_FETCH)


@pytest.mark.parametrize(("registers", "name"), [(el2, "el2"), (el2_vhe, "el2-vhe")])
def test_realm_el2_fetches_from_realm_memory_only(registers, name: str) -> None:
    values = registers(ID_AA64PFR0_EL1=ALL_LEVELS | RME, SCR_EL3=SECURE | REALM)
    assert fetched(one_page(NS, values, name), 2, EL2H) is VMSACause.FOREIGN_FETCH
    assert fetched(one_page(0, values, name), 2, EL2H) is None
    assert fetched(one_page(NS, {**values, "SCR_EL3": SECURE | NON_SECURE}, name), 2, EL2H) is None


def realm(leaf: int, scr: int) -> Refusal | None:
    memory = Memory()
    memory.stage1(NS)
    memory.stage1(0, VA, IPA)
    memory.stage2(RWX2 | leaf)
    memory.identity(RWX2)
    values = guest(ID_AA64PFR0_EL1=ALL_LEVELS | RME, SCR_EL3=scr, HCRX_EL2=TCR2EN)
    return refusal(look(memory, values, "el1"), EXECUTE, 1, EL1H)


def test_realm_stage_2_says_which_memory_is_not_its_own() -> None:
    refused = realm(S2_NS, SECURE | REALM)
    assert refused is not None
    assert (refused.fault, refused.decider.cause) == (Fault(FaultKind.PERMISSION, 2, 3), VMSACause.FOREIGN_FETCH)
    assert realm(0, SECURE | REALM) is None
    # Software's own in every other state.
    assert realm(S2_NS, SECURE | NON_SECURE) is None


@pytest.mark.parametrize(("leaf", "non_secure"), [(0, False), (S2_NS, True)])
def test_realm_stage_2_says_in_its_attributes_whose_memory_it_is(leaf: int, non_secure: bool) -> None:
    memory = Memory()
    memory.stage2(leaf | 0b11 << 6 | 0b1111 << 2)
    values = guest(ID_AA64PFR0_EL1=ALL_LEVELS | RME, SCR_EL3=SECURE | REALM)
    attributes = look(memory, values, "stage2", IPA).attributes
    assert attributes is not None
    assert attributes.non_secure is non_secure
    assert {level.label for level in attributes.rights} == {"EL0", "EL1"}, "whoever goes through it"


def test_only_root_has_nse() -> None:
    """Bit 11 of EL2's leaves, and of EL3's without FEAT_RME, is RES0 where others have nG: nothing is called NSE."""
    for values, name in ((el2(), "el2"), (el3(), "el3")):
        found = one_page(NSE, values, name)
        assert found.leaf is not None
        assert found.attributes is not None
        assert "NSE" not in {each.name for each in type(found.leaf.entry.word).fields()}
        assert found.attributes.is_global
    root = one_page(NSE, el3(ID_AA64PFR0_EL1=ALL_LEVELS | RME), "el3")
    assert root.leaf is not None
    assert root.leaf.entry.word.field("NSE").of(root.leaf.entry.word) == 1
