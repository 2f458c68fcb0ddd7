"""What EL2 and EL3 decide of EL1&0's stage 1, by raw bits: nesting, registers withheld, cache maintenance, AArch32.

DDI 0487, "HCR_EL2.NV1", "SCTLR_EL1.CMOW", "HCRX_EL2.CMOW", "SCR_EL3.{HXEn, TCR2En, PIEn}", "HCR_EL2.RW", and Arm's
pseudocode AArch64.S1CheckPermissions, AArch64.S1TTWParamsEL10, IsTCR2EL1Enabled, AArch64.S2MinTxSZ.
"""

from __future__ import annotations

import pytest

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.model import AccessKind, Cause, Fault, FaultKind, Mapped, Walk
from gdbtools.arch.walk import walk
from tests.arch.aarch64.truth.machine import (
    ARM,
    E0POE,
    EL1H,
    EL2H,
    EPAN,
    IPA,
    MMFR1,
    PAN,
    PIE,
    POE,
    RW,
    S2_ROOT,
    SCTLR,
    TCR2EN,
    VA,
    VM,
    VTCR,
    Memory,
    allowed,
    el1,
    guest,
    look,
    one_page,
    refusal,
)
from tests.tables import reader

READ, WRITE = AccessKind.READ, AccessKind.WRITE
MAINTENANCE, TAKEN_AWAY = AccessKind.MAINTENANCE, AccessKind.CLEAN_INVALIDATION
# HCR_EL2: NV [42], NV1 [43].  SCTLR_EL1.CMOW [32], HCRX_EL2.CMOW [9], ID_AA64MMFR1_EL1.CMOW [59:56].
NESTED, CMOW, S2_CMOW, HAS_CMOW = RW | 1 << 42 | 1 << 43, 1 << 32, 1 << 9, 1 << 56
AP, READ_ONLY = 6, 0b11 << 6
RW2, READ_ONLY2 = 0b11 << 6 | 0b1111 << 2, 0b01 << 6 | 0b1111 << 2
# SCR_EL3: NS [0], RW [10], HXEn [38], TCR2En [43], PIEn [45].
HXEN, TCR2EN3, PIEN = 1 << 38, 1 << 43, 1 << 45
MONITORED = 1 | 1 << 10 | HXEN | TCR2EN3 | PIEN
ANYTHING = 0xEEEE_EEEE_EEEE_EEEE


def nested(leaf: int = 0, **registers: int) -> Walk:
    return one_page(leaf, el1(ID_AA64PFR0_EL1=0x0111, **{"HCR_EL2": NESTED, "HCRX_EL2": TCR2EN, **registers}), "el1")


def test_a_guest_hypervisor_has_no_privileged_access_never() -> None:
    """EL0 may execute the page, so that PAN with EPAN would keep EL1 from it."""
    assert allowed(nested(SCTLR_EL1=SCTLR | EPAN), 1, EL1H | PAN) == "rwx"
    assert allowed(nested(SCTLR_EL1=SCTLR | EPAN, HCR_EL2=RW), 1, EL1H | PAN) == "--x"


@pytest.mark.parametrize("more", [0, E0POE])
def test_a_guest_hypervisor_has_no_indirect_permissions_for_el0(more: int) -> None:
    indirect = {"TCR2_EL1": PIE | more, "PIR_EL1": ANYTHING, "PIRE0_EL1": ANYTHING}
    assert allowed(nested(**indirect), 0, 0) == "---"
    assert allowed(nested(**indirect), 1, EL1H | PAN) == "rwx"
    # Without nesting, what EL0 may write and EL1 execute grants nothing to either.
    assert allowed(nested(**indirect, HCR_EL2=RW), 1, EL1H) == "---"


def maintained(kind: AccessKind, leaf: int, el: int = 0, cmow: int = CMOW, has: int = HAS_CMOW) -> Cause | None:
    values = el1(SCTLR_EL1=SCTLR | cmow, ID_AA64MMFR1_EL1=MMFR1 | has)
    refused = refusal(one_page(leaf, values, "el1"), kind, el, EL1H if el else 0)
    return refused.decider.cause if refused else None


def test_el0_has_to_write_what_it_takes_from_the_caches_under_cmow() -> None:
    needed = VMSACause.MAINTENANCE_WITHOUT_WRITE
    assert maintained(TAKEN_AWAY, READ_ONLY) is needed
    assert maintained(MAINTENANCE, READ_ONLY) is None
    assert maintained(TAKEN_AWAY, 0b01 << AP) is None
    assert maintained(TAKEN_AWAY, READ_ONLY, cmow=0) is None
    assert maintained(TAKEN_AWAY, READ_ONLY, has=0) is None
    assert maintained(TAKEN_AWAY, READ_ONLY, el=1) is None
    # What it may not even read is refused for that.
    assert maintained(TAKEN_AWAY, 0) is VMSACause.PRIVILEGED_ONLY


@pytest.mark.parametrize("el", [0, 1])
def test_a_guest_has_to_write_what_it_takes_from_the_caches_under_hcrx_cmow(el: int) -> None:
    memory = Memory()
    memory.stage1(0b01 << AP, VA, IPA)
    memory.stage2(READ_ONLY2)
    memory.identity(RW2)

    def met(kind: AccessKind, hcrx: int) -> Fault | None:
        found = look(memory, guest(HCRX_EL2=hcrx, ID_AA64MMFR1_EL1=MMFR1 | HAS_CMOW), "el1")
        refused = refusal(found, kind, el, EL1H if el else 0)
        return refused.fault if refused else None

    assert met(TAKEN_AWAY, TCR2EN | S2_CMOW) == Fault(FaultKind.PERMISSION, 2, 3)
    assert met(MAINTENANCE, TCR2EN | S2_CMOW) is None
    assert met(TAKEN_AWAY, TCR2EN) is None


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        (0xD50B7E20, TAKEN_AWAY),  # dc civac, x0
        (0xD50B7E61, TAKEN_AWAY),  # dc cigvac, x1
        (0xD50B7EA2, TAKEN_AWAY),  # dc cigdvac, x2
        (0xD50B7523, TAKEN_AWAY),  # ic ivau, x3
        (0xD5087624, AccessKind.INVALIDATION),  # dc ivac, x4
        (0xD50B7A25, MAINTENANCE),  # dc cvac, x5
        (0xD50B7B26, MAINTENANCE),  # dc cvau, x6
        (0xD50B7C27, MAINTENANCE),  # dc cvap, x7
        (0xF9000020, MAINTENANCE),  # str x0, [x1]
    ],
)
def test_the_instruction_says_which_maintenance_it_is(word: int, kind: AccessKind) -> None:
    assert ARM.exceptions.maintenance(word) is kind


@pytest.mark.parametrize(
    ("scr", "rights"), [(MONITORED, "rwx"), (MONITORED & ~PIEN, "---"), (MONITORED & ~TCR2EN3, "rw-")]
)
def test_el3_may_withhold_indirect_permissions(scr: int, rights: str) -> None:
    """Without PIEn the registers are as 0; without TCR2En there is no indirection, and AP and PXN count."""
    values = el1(ID_AA64PFR0_EL1=0x1011, SCR_EL3=scr, TCR2_EL1=PIE, PIR_EL1=ANYTHING, PIRE0_EL1=0)
    found = one_page(1 << 53, values, "el1")
    assert allowed(found, 1, EL1H) == rights
    # EL0's are taken away with EL1's, and not those of a regime that has none.
    assert found.attributes is not None
    assert {level.label for level in found.attributes.rights} == {"EL0", "EL1"}
    if not scr & PIEN:
        assert allowed(found, 0, 0) == "---"


@pytest.mark.parametrize(
    ("scr", "poe", "rights", "cause"),
    [
        (MONITORED, POE, "rwx", None),
        # The overlay registers are as 0, and an overlay of 0 takes everything away.
        (MONITORED & ~PIEN, POE, "---", ("SCR_EL3", "PIEn", 0)),
        # Without overlays nobody asks for them.
        (MONITORED & ~PIEN, 0, "rwx", None),
    ],
)
def test_el3_may_withhold_permission_overlays(
    scr: int, poe: int, rights: str, cause: tuple[str, str, int] | None
) -> None:
    values = el1(ID_AA64PFR0_EL1=0x1011, SCR_EL3=scr, TCR2_EL1=poe, POR_EL1=0x7777_7777_7777_7777)
    found = one_page(0, values, "el1")
    assert allowed(found, 1, EL1H) == rights
    refused = refusal(found, READ, 1, EL1H)
    assert (refused is None) is (cause is None)
    if refused is not None:
        decider = refused.decider
        assert (decider.cause, decider.holder) == (VMSACause.REGISTERS_DISABLED, "SCR_EL3")
        assert (decider.holder, decider.field.name, decider.value) == cause


def test_without_hxen_hcrx_is_as_0() -> None:
    values = guest(ID_AA64PFR0_EL1=0x1111, HCR_EL2=RW, TCR2_EL1=PIE, PIR_EL1=ANYTHING, PIRE0_EL1=0)
    assert allowed(one_page(1 << 53, {**values, "SCR_EL3": MONITORED}, "el1"), 1, EL1H) == "rwx"
    assert allowed(one_page(1 << 53, {**values, "SCR_EL3": MONITORED & ~HXEN}, "el1"), 1, EL1H) == "rw-"


BOTH_STATES = {"ID_AA64PFR0_EL1": 0x1222}


@pytest.mark.parametrize(
    "values",
    [
        guest(**BOTH_STATES, HCR_EL2=VM, cpsr=EL2H),
        guest(HCR_EL2=VM, cpsr=0b10011),
        guest(**BOTH_STATES, HCR_EL2=VM, cpsr=0b10000),
        el1(ID_AA64PFR0_EL1=0x1022, SCR_EL3=MONITORED & ~(1 << 10), cpsr=0b1101),
    ],
    ids=["HCR_EL2.RW", "Supervisor", "User under HCR_EL2.RW", "SCR_EL3.RW"],
)
def test_the_stage_1_of_an_aarch32_el1_is_that_of_aarch32(values: dict[str, int]) -> None:
    """TCR_EL1[31], TTBCR.EAE there, chooses the format: here it is TG1's upper bit, and set."""
    regime = ARM.regime_for(reader({**values, "SCTLR_EL1": 1, "TCR_EL1": 1 << 31 | 1}), 0, "el1")
    assert (regime.name.partition(" through ")[0], regime.last) == ("EL1&0 stage 1, TTBR0", 0x7FFF_FFFF)
    off = ARM.regime_for(reader({**values, "SCTLR_EL1": 0}), 0, "el1")
    assert off.name.startswith("EL1&0 stage 1, MMU off (SCTLR.M is 0)")


@pytest.mark.parametrize(
    "values",
    [
        guest(ID_AA64PFR0_EL1=0x1112, HCR_EL2=VM, cpsr=EL2H),
        guest(**BOTH_STATES, HCR_EL2=VM, cpsr=EL1H),
        guest(**BOTH_STATES, HCR_EL2=VM | RW, cpsr=0b10000),
        el1(ID_AA64PFR0_EL1=0x0022, HCR_EL2=0),
    ],
    ids=["no AArch32 there", "at EL1h", "a User under AArch64", "no EL2"],
)
def test_an_aarch64_el1_is_not_taken_for_aarch32(values: dict[str, int]) -> None:
    assert ARM.regime_for(reader(values), 0, "el1").levels


def test_an_aarch32_guest_has_40_bits_of_ipa_on_a_small_cpu() -> None:
    last = (1 << 40) - 0x1000
    geometry = VTCR & ~0xFF & ~(7 << 16) | 24 | 1 << 6 | 1 << 16
    small = {"ID_AA64MMFR0_EL1": 1, "VTCR_EL2": geometry}
    entry = S2_ROOT + (last >> 30) * 8
    read = {entry: 0x7000_0000 & ~((1 << 30) - 1) | 1 | 1 << 10}

    def outcome(hcr: int) -> object:
        values = guest(**BOTH_STATES, **small, HCR_EL2=hcr, cpsr=EL2H)
        regime = ARM.regime_for(reader(values), last, "stage2")
        return walk(regime, last, lambda pa, size: read.get(pa, 0).to_bytes(size, "little")).outcome

    assert outcome(VM) == Mapped(0x4000_0000 | last & 0x3FFF_F000, 1 << 30)
    assert outcome(VM | RW) == Fault(FaultKind.TRANSLATION, 2, 0)


@pytest.mark.parametrize("kind", [READ, WRITE, AccessKind.EXECUTE])
def test_el3_may_withhold_the_permissions_of_stage_2(kind: AccessKind) -> None:
    memory = Memory()
    memory.stage1(0, output=IPA)
    memory.identity(RW2)
    memory.stage2(RW2)
    values = guest(ID_AA64PFR0_EL1=0x1111, VTCR_EL2=VTCR | 1 << 36, S2PIR_EL2=ANYTHING, SCR_EL3=MONITORED & ~PIEN)
    found = look(memory, values, "stage2", IPA)
    refused = refusal(found, kind, 1, EL1H)
    assert refused is not None
    assert refused.decider.cause is VMSACause.REGISTERS_DISABLED
