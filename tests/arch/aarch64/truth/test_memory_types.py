"""Memory types and shareability: of stage 1, and of both stages together, with and without FWB.

DDI 0487, "Combining stage 1 and stage 2 memory type attributes", MAIR_EL1, and S1DecodeMemAttrs, S2DecodeMemAttrs,
S2CombineS1MemAttrs, AArch64.S2ApplyFWBMemAttrs, EffectiveShareability, AArch64.S1DisabledOutput, AArch64.S2Translate
(Arm's pseudocode for Armv9.4, in rems-project/sail-arm).  Checked against Linux arch/arm64/kvm/at.c (compute_par_s12)
and QEMU target/arm/ptw.c.  Attributes are of data accesses with SCTLR_EL1.C set.
"""

from __future__ import annotations

import pytest

from tests.arch.aarch64.truth.machine import (
    CD,
    DC,
    FEATURES,
    FWB,
    IPA,
    PA,
    RW,
    SCTLR,
    VA,
    VM,
    Memory,
    el1,
    guest,
    look,
    one_page,
    settle,
)

# MAIR_ELx.Attr<n>, one nibble of Normal memory: outer [7:4], inner [3:0].
NIBBLE = {
    0b0001: "Write-Through Transient W-allocate",
    0b0010: "Write-Through Transient R-allocate",
    0b0011: "Write-Through Transient RW-allocate",
    0b0100: "Non-cacheable",
    0b0101: "Write-Back Transient W-allocate",
    0b0110: "Write-Back Transient R-allocate",
    0b0111: "Write-Back Transient RW-allocate",
    0b1000: "Write-Through no allocate",
    0b1001: "Write-Through W-allocate",
    0b1010: "Write-Through R-allocate",
    0b1011: "Write-Through RW-allocate",
    0b1100: "Write-Back no allocate",
    0b1101: "Write-Back W-allocate",
    0b1110: "Write-Back R-allocate",
    0b1111: "Write-Back RW-allocate",
}
# 0b0000dd00, and stage 2's 0b00dd.
DEVICE = ("Device-nGnRnE", "Device-nGnRE", "Device-nGRE", "Device-GRE")
SHARED = {0b00: "Non-shareable", 0b10: "Outer Shareable", 0b11: "Inner Shareable"}
OUTER = "Outer Shareable"
NC = 0b0100
NO_XS = {"ID_AA64ISAR1_EL1": FEATURES["ID_AA64ISAR1_EL1"] & ~(0xF << 56)}
"""Without FEAT_XS there is no XS attribute to speak of, and MAIR has no encodings for it."""


def normal(outer: int, inner: int) -> str:
    if outer == inner:
        return f"Normal {NIBBLE[inner]}"
    return f"Normal inner {NIBBLE[inner]}, outer {NIBBLE[outer]}"


def said(found) -> tuple[str, str]:
    attributes = found.attributes
    return ("no attributes", "") if attributes is None else (attributes.memory, attributes.shareability)


def test_every_encoding_of_mair_and_its_effective_shareability() -> None:
    # AttrIndx is [4:2], SH is [9:8].  Device memory, and Normal memory that is Non-cacheable inner and outer, is Outer
    # Shareable whatever SH says.  Reserved encodings (0b0000xx1x, 0bxxxx0000) and SH=0b01 claim nothing.
    wrong = []
    for attr in range(256):
        outer, inner = attr >> 4, attr & 0xF
        if outer and inner:
            expected, fixed = normal(outer, inner), outer == inner == NC
        elif not outer and not attr & 0b11:
            expected, fixed = DEVICE[attr >> 2], True
        else:
            continue
        for sh, name in SHARED.items():
            index = attr % 8
            registers = el1(MAIR_EL1=attr << 8 * index)
            got = said(one_page(index << 2 | sh << 8, registers, "el1"))
            if got != (expected, OUTER if fixed else name):
                wrong.append(f"Attr={attr:#04x} SH={sh:02b}: {got}, not {(expected, OUTER if fixed else name)}")
    settle(wrong)


@pytest.mark.parametrize(
    ("attr", "name", "shareability"),
    [
        (0b0000_0001, "Device-nGnRnE, XS=0", OUTER),
        (0b0000_0101, "Device-nGnRE, XS=0", OUTER),
        (0b0000_1001, "Device-nGRE, XS=0", OUTER),
        (0b0000_1101, "Device-GRE, XS=0", OUTER),
        (0b0100_0000, "Normal Non-cacheable, XS=0", OUTER),
        (0b1010_0000, "Normal Write-Through, XS=0", "Inner Shareable"),
        (0b1111_0000, "Normal Write-Back, Tagged", "Inner Shareable"),
    ],
)
def test_encodings_of_feat_xs_and_feat_mte2(attr: int, name: str, shareability: str) -> None:
    # ID_AA64PFR1_EL1.MTE [11:8].
    registers = el1(MAIR_EL1=attr, ID_AA64PFR1_EL1=FEATURES["ID_AA64PFR1_EL1"] | 2 << 8)
    assert said(one_page(0b11 << 8, registers, "el1")) == (name, shareability)


class Guest:
    """A virtual machine with one page, whose attributes can be changed."""

    def __init__(self, **registers: int) -> None:
        self.memory = Memory()
        self.memory.stage1(0, output=IPA)
        # Stage 1's tables in Normal Write-Back memory with FWB=0 and, near enough, with FWB=1: 0b1111 is stage 1's.
        self.memory.identity(0b1111 << 2 | 0b11 << 8 | 0b11 << 6)
        self.memory.stage2(0)
        self.registers = registers

    def ask(self, attr: int, memattr: int, sh1: int = 0b11, sh2: int = 0b11, fnxs: int = 0, hcr: int = 0):
        """Stage 1: MAIR_EL1.Attr0 and SH [9:8]; stage 2: MemAttr [5:2], S2AP [7:6], SH [9:8], FnXS [11]."""
        self.memory.stage1(sh1 << 8, output=IPA)
        self.memory.stage2(memattr << 2 | 0b11 << 6 | sh2 << 8 | fnxs << 11, IPA, PA)
        return said(look(self.memory, guest(MAIR_EL1=attr, HCR_EL2=VM | RW | hcr, **self.registers), "el1"))


# Two Device types: the one with fewer liberties.  nGnRnE < nGnRE < nGRE < GRE.
TWO_DEVICES = {
    (0, 0): 0, (0, 1): 0, (0, 2): 0, (0, 3): 0,
    (1, 0): 0, (1, 1): 1, (1, 2): 1, (1, 3): 1,
    (2, 0): 0, (2, 1): 1, (2, 2): 2, (2, 3): 2,
    (3, 0): 0, (3, 1): 1, (3, 2): 2, (3, 3): 3,
}  # fmt: skip

# Stage 1's nibble, with stage 2's Non-cacheable (0b01), Write-Through (0b10), Write-Back (0b11): the less cacheable of
# the two, with the allocation hints and the transience of stage 1.
LIMITED = {
    0b0001: (NC, 0b0001, 0b0001),
    0b0010: (NC, 0b0010, 0b0010),
    0b0011: (NC, 0b0011, 0b0011),
    0b0100: (NC, NC, NC),
    0b0101: (NC, 0b0001, 0b0101),
    0b0110: (NC, 0b0010, 0b0110),
    0b0111: (NC, 0b0011, 0b0111),
    0b1000: (NC, 0b1000, 0b1000),
    0b1001: (NC, 0b1001, 0b1001),
    0b1010: (NC, 0b1010, 0b1010),
    0b1011: (NC, 0b1011, 0b1011),
    0b1100: (NC, 0b1000, 0b1100),
    0b1101: (NC, 0b1001, 0b1101),
    0b1110: (NC, 0b1010, 0b1110),
    0b1111: (NC, 0b1011, 0b1111),
}
# Stage 2's MemAttr[3:0] of Normal memory with FWB=0: outer [3:2], inner [1:0]; 0b0100, 0b1000, 0b1100 are reserved.
NORMAL_MEMATTR = (0b0101, 0b0110, 0b0111, 0b1001, 0b1010, 0b1011, 0b1101, 0b1110, 0b1111)
PAIRS = sorted({pair for n in NIBBLE for pair in ((n, n), (n, NC), (NC, n), (n, 0b1111), (0b0111, n), (n, 0b1000))})


def test_fwb_0_takes_the_less_cacheable() -> None:
    machine, wrong = Guest(**NO_XS), []
    for outer, inner in PAIRS:
        for memattr in NORMAL_MEMATTR:
            combined = LIMITED[outer][(memattr >> 2) - 1], LIMITED[inner][(memattr & 0b11) - 1]
            expected = normal(*combined), OUTER if combined == (NC, NC) else "Inner Shareable"
            if (got := machine.ask(outer << 4 | inner, memattr)) != expected:
                wrong.append(f"Attr={outer << 4 | inner:#04x} MemAttr={memattr:04b}: {got}, not {expected}")
    settle(wrong)


def test_fwb_0_device_of_either_stage_is_device() -> None:
    machine, wrong = Guest(**NO_XS), []
    rows = [(first << 2, second, DEVICE[both]) for (first, second), both in TWO_DEVICES.items()]
    rows += [(first << 2, memattr, DEVICE[first]) for first in range(4) for memattr in NORMAL_MEMATTR]
    rows += [(outer << 4 | inner, second, DEVICE[second]) for outer, inner in PAIRS for second in range(4)]
    for attr, memattr, name in rows:
        if (got := machine.ask(attr, memattr)) != (name, OUTER):
            wrong.append(f"Attr={attr:#04x} MemAttr={memattr:04b}: {got}, not {(name, OUTER)}")
    settle(wrong)


# Two shareabilities: Outer before Inner before Non-shareable.
TWO_SHARED = {
    (0b00, 0b00): 0b00,
    (0b00, 0b10): 0b10,
    (0b00, 0b11): 0b11,
    (0b10, 0b00): 0b10,
    (0b10, 0b10): 0b10,
    (0b10, 0b11): 0b10,
    (0b11, 0b00): 0b11,
    (0b11, 0b10): 0b10,
    (0b11, 0b11): 0b11,
}


@pytest.mark.parametrize(
    ("hcr", "cacheable", "uncacheable", "device"),
    [
        # MemAttr that leaves Write-Back as it is, makes it Non-cacheable, makes it Device.
        pytest.param(0, 0b1111, 0b0101, 0b0001, id="FWB=0"),
        pytest.param(FWB, 0b0110, 0b0101, 0b0001, id="FWB=1"),
        pytest.param(FWB, 0b0111, 0b0101, 0b0001, id="FWB=1, as stage 1"),
    ],
)
def test_shareability_of_both_stages(hcr: int, cacheable: int, uncacheable: int, device: int) -> None:
    machine, wrong = Guest(**NO_XS), []
    for (sh1, sh2), both in TWO_SHARED.items():
        for memattr, expected in ((cacheable, SHARED[both]), (uncacheable, OUTER), (device, OUTER)):
            _, got = machine.ask(0xFF, memattr, sh1, sh2, hcr=hcr)
            if got != expected:
                wrong.append(f"SH={sh1:02b} and {sh2:02b} MemAttr={memattr:04b}: {got}, not {expected}")
    settle(wrong)


# FWB=1, MemAttr[1:0]=0b10 with [2] set: Write-Back, with stage 1's hints where stage 1 is cacheable.
FORCED = {
    0b0001: 0b0101,
    0b0010: 0b0110,
    0b0011: 0b0111,
    0b0100: 0b1111,
    0b0101: 0b0101,
    0b0110: 0b0110,
    0b0111: 0b0111,
    0b1000: 0b1100,
    0b1001: 0b1101,
    0b1010: 0b1110,
    0b1011: 0b1111,
    0b1100: 0b1100,
    0b1101: 0b1101,
    0b1110: 0b1110,
    0b1111: 0b1111,
}
# MemAttr[3:0] with FWB=1; [3] is RES0 without FEAT_MTE_PERM.  0bx100 is reserved and claims nothing.
AS_DEVICE = {0b0000: 0, 0b0001: 1, 0b0010: 2, 0b0011: 3, 0b1000: 0, 0b1001: 1, 0b1010: 2, 0b1011: 3}
AS_NON_CACHEABLE = (0b0101, 0b1101)
AS_WRITE_BACK = (0b0110, 0b1110)
AS_STAGE_1 = (0b0111, 0b1111)


def test_fwb_1_normal_at_stage_1() -> None:
    machine, wrong = Guest(**NO_XS), []
    for outer, inner in PAIRS:
        rows = {memattr: DEVICE[kind] for memattr, kind in AS_DEVICE.items()}
        rows |= dict.fromkeys(AS_NON_CACHEABLE, "Normal Non-cacheable")
        rows |= {memattr: normal(FORCED[outer], FORCED[inner]) for memattr in AS_WRITE_BACK}
        rows |= {memattr: normal(outer, inner) for memattr in AS_STAGE_1}
        for memattr, expected in rows.items():
            got, _ = machine.ask(outer << 4 | inner, memattr, hcr=FWB)
            if got != expected:
                wrong.append(f"Attr={outer << 4 | inner:#04x} MemAttr={memattr:04b}: {got}, not {expected}")
    settle(wrong)


def test_fwb_1_device_at_stage_1() -> None:
    machine, wrong = Guest(**NO_XS), []
    for first in range(4):
        rows = {memattr: DEVICE[TWO_DEVICES[first, second]] for memattr, second in AS_DEVICE.items()}
        rows |= dict.fromkeys((*AS_NON_CACHEABLE, *AS_STAGE_1), DEVICE[first])
        # A guest's Device mapping of memory that the hypervisor says is Write-Back is Write-Back.
        rows |= dict.fromkeys(AS_WRITE_BACK, "Normal Write-Back RW-allocate")
        for memattr, expected in rows.items():
            got, _ = machine.ask(first << 2, memattr, hcr=FWB)
            if got != expected:
                wrong.append(f"{DEVICE[first]} MemAttr={memattr:04b}: {got}, not {expected}")
    settle(wrong)


def test_fwb_is_res0_without_the_feature() -> None:
    # ID_AA64MMFR2_EL1.FWB [43:40]: MemAttr=0b0110 is then outer Non-cacheable, inner Write-Through.
    machine = Guest(**NO_XS, ID_AA64MMFR2_EL1=FEATURES["ID_AA64MMFR2_EL1"] & ~(0xF << 40))
    assert machine.ask(0xFF, 0b0110, hcr=FWB) == (normal(NC, 0b1011), "Inner Shareable")


# HCR_EL2.DC: stage 1 is off whatever SCTLR_EL1.M says, and its output is Write-Back, Non-shareable; VM is as if set.
@pytest.mark.parametrize("vm", [0, VM])
@pytest.mark.parametrize(
    ("fwb", "memattr", "sh", "memory", "shareability"),
    [
        (0, 0b1111, 0b00, "Normal Write-Back RW-allocate", "Non-shareable"),
        (0, 0b1111, 0b11, "Normal Write-Back RW-allocate", "Inner Shareable"),
        (0, 0b1111, 0b10, "Normal Write-Back RW-allocate", OUTER),
        (0, 0b1010, 0b11, "Normal Write-Through RW-allocate", "Inner Shareable"),
        (0, 0b0101, 0b00, "Normal Non-cacheable", OUTER),
        (0, 0b0001, 0b00, "Device-nGnRE", OUTER),
        (FWB, 0b0110, 0b11, "Normal Write-Back RW-allocate", "Inner Shareable"),
        (FWB, 0b0111, 0b11, "Normal Write-Back RW-allocate", "Inner Shareable"),
        (FWB, 0b0101, 0b11, "Normal Non-cacheable", OUTER),
    ],
)
def test_default_cacheable(fwb: int, vm: int, memattr: int, sh: int, memory: str, shareability: str) -> None:
    tables = Memory()
    tables.stage2(memattr << 2 | 0b11 << 6 | sh << 8)
    found = look(tables, guest(HCR_EL2=DC | RW | fwb | vm, **NO_XS), "el1", IPA)
    assert said(found) == (memory, shareability)


def test_hcr_cd_makes_normal_memory_non_cacheable_and_leaves_device() -> None:
    # S2Translate: a data access whose stage 2 memory is Normal, with HCR_EL2.CD, combines with Normal Non-cacheable.
    machine, wrong = Guest(**NO_XS), []
    for attr, memattr, expected in (
        (0xFF, 0b1111, "Normal Non-cacheable"),
        (0xBB, 0b1010, "Normal Non-cacheable"),
        (0x44, 0b1111, "Normal Non-cacheable"),
        (0x04, 0b1111, "Device-nGnRE"),
        (0xFF, 0b0010, "Device-nGRE"),
    ):
        if (got := machine.ask(attr, memattr, hcr=CD)) != (expected, OUTER):
            wrong.append(f"CD=1 Attr={attr:#04x} MemAttr={memattr:04b}: {got}, not {(expected, OUTER)}")
    settle(wrong)


@pytest.mark.parametrize(
    ("attr", "device"), [(0x00, True), (0x04, True), (0x08, True), (0x0C, True), (0x44, False), (0xFF, False)]
)
def test_what_is_a_devices_is_told_from_memory(attr: int, device: bool) -> None:
    attributes = one_page(0, el1(MAIR_EL1=attr), "el1").attributes
    assert attributes is not None
    assert attributes.device is device


def test_without_mair_an_attribute_is_a_number_and_no_devices() -> None:
    values = {name: value for name, value in el1().items() if name != "MAIR_EL1"}
    attributes = one_page(3 << 2, values, "el1").attributes
    assert attributes is not None
    assert (attributes.memory, attributes.device, attributes.unshared) == ("MAIR Attr3", False, False)


@pytest.mark.parametrize(
    ("attr", "sh", "unshared"), [(0xFF, 0, True), (0xFF, 2, True), (0xFF, 3, False), (0x00, 0, False)]
)
def test_normal_memory_that_is_not_inner_shareable_is_worth_a_word(attr: int, sh: int, unshared: bool) -> None:
    attributes = one_page(sh << 8, el1(MAIR_EL1=attr), "el1").attributes
    assert attributes is not None
    assert attributes.unshared is unshared


def test_what_is_a_devices_and_what_is_unshared_goes_by_the_type_that_is_said() -> None:
    """Of both stages together, of stage 2 alone, and of stage 1 that is off."""
    wrong, seen = [], set()
    for hcr in (VM | RW, VM | RW | FWB, VM | RW | DC, RW):
        for memattr in range(16):
            for sh in (0, 2, 3):
                for attr, sctlr in ((0xFF, SCTLR), (0x44, SCTLR), (0x04, SCTLR), (0xFF, SCTLR & ~1)):
                    memory = Memory()
                    memory.stage1(sh << 8, output=IPA)
                    memory.stage2(0b11 << 6 | memattr << 2 | sh << 8)
                    memory.stage2(0b11 << 6 | memattr << 2 | sh << 8, VA & 0x7F_FFFF_FFFF, PA)
                    memory.identity(0b11 << 6 | 0b1111 << 2)
                    values = guest(HCR_EL2=hcr, MAIR_EL1=attr, SCTLR_EL1=sctlr)
                    asked = [("el1", VA & 0x7F_FFFF_FFFF if not sctlr & 1 else VA), ("stage2", IPA)]
                    for name, address in asked if hcr & VM else asked[:1]:
                        found = look(memory, values, name, address).attributes
                        if found is None:
                            continue
                        device = found.memory.startswith("Device")
                        unshared = found.memory.startswith("Normal") and found.shareability != "Inner Shareable"
                        seen.add((name, device, unshared))
                        if (found.device, found.unshared) != (device, unshared):
                            wrong.append(f"{name} HCR={hcr:#x} MemAttr={memattr:04b} SH={sh} Attr={attr:#x}: {found}")
    settle(wrong)
    assert len(seen) == 6, "each of the three that may be, of either regime"


def test_without_mair_both_stages_still_have_rights() -> None:
    memory = Memory()
    memory.stage1(0, output=IPA)
    memory.identity(0b11 << 6 | 0b1111 << 2)
    memory.stage2(0b01 << 6 | 0b1111 << 2)
    values = {name: value for name, value in guest().items() if name != "MAIR_EL1"}
    attributes = look(memory, values, "el1").attributes
    assert attributes is not None
    assert attributes.memory == "MAIR Attr0"
    assert {level.label: str(rights) for level, rights in attributes.rights.items()} == {"EL0": "--x", "EL1": "r-x"}
