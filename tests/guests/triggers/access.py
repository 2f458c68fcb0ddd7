"""Instructions that are trapped as a kind: waits, floating point, SVE, SME, pointer authentication, ERET, LS64."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.controls import BASE, EVERY_CASE, SCTLR_EL1, bits
from tests.guests.syndromes import DATA
from tests.guests.triggers.model import Trigger, at

HCR = EVERY_CASE["HCR_EL2"]
TWI, TWE, API = bits(13), bits(14), bits(41)
NV, TGE = bits(42), bits(27)
FGT_ERET = bits(51)
NTWI, NTWE, ENALS, ENASR, ENAS0 = bits(16), bits(18), bits(56), bits(54), bits(55)
CPTR_TFP, CPTR_TZ, CPTR_TSM = bits(10), bits(8), bits(12)
CPACR = BASE["CPACR_EL1"]
FPEN, ZEN, SMEN = bits(20, 21), bits(16, 17), bits(24, 25)
ONLY_EL1_FPEN, ONLY_EL1_ZEN = bits(20), bits(16)
WFI, WFE, WFIT, WFET = range(4)
NEVER = 1 << 63
ALWAYS = {"CV": 1, "COND": 0b1110}
IN_STREAMING, NOT_STREAMING, NO_ZA = 1, 2, 3
"""Of SMTC."""
SM, ZA = bits(0), bits(1)
"""Of SVCR."""


def waits(
    name: str, el: int, target: int, source: str, registers: dict[str, int], ti: int, needs: tuple[str, ...] = ()
) -> Trigger:
    fields = {"TI": ti, **ALWAYS}
    if ti in (WFIT, WFET):
        fields |= {"RV": 1, "RN": 5}
    return Trigger(
        name=name, case=at(el, source, registers, {5: NEVER}), target=target, ec=EC.WF, fields=fields, needs=needs
    )


def refused(
    name: str,
    el: int,
    target: int,
    source: str,
    registers: dict[str, int],
    ec: EC = EC.FLOATING_POINT_ACCESS,
    fields: dict[str, int] | None = None,
    needs: tuple[str, ...] = (),
    level: int = 2,
) -> Trigger:
    return Trigger(
        name=name,
        case=at(el, source, registers),
        target=target,
        ec=ec,
        fields={**(ALWAYS if ec is EC.FLOATING_POINT_ACCESS else {}), **(fields or {})},
        instruction="",
        needs=needs,
        level=level,
    )


WAITS = (
    waits("WFI at EL1: HCR_EL2.TWI", 1, 2, "wfi", {"HCR_EL2": HCR | TWI}, WFI),
    waits("WFI at EL0: HCR_EL2.TWI", 0, 2, "wfi", {"HCR_EL2": HCR | TWI, "SCTLR_EL1": SCTLR_EL1 | NTWI}, WFI),
    waits("WFE at EL1: HCR_EL2.TWE", 1, 2, "wfe", {"HCR_EL2": HCR | TWE}, WFE),
    waits("WFI at EL0: SCTLR_EL1.nTWI", 0, 1, "wfi", {}, WFI),
    waits("WFE at EL0: SCTLR_EL1.nTWE", 0, 1, "wfe", {}, WFE),
    waits("WFIT at EL1: HCR_EL2.TWI", 1, 2, "wfit x5", {"HCR_EL2": HCR | TWI}, WFIT, ("WFxT",)),
    waits("WFET at EL1: HCR_EL2.TWE", 1, 2, "wfet x5", {"HCR_EL2": HCR | TWE}, WFET, ("WFxT",)),
    waits("WFIT at EL0: SCTLR_EL1.nTWI", 0, 1, "wfit x5", {}, WFIT, ("WFxT",)),
    waits("WFET at EL0: SCTLR_EL1.nTWE", 0, 1, "wfet x5", {}, WFET, ("WFxT",)),
)
FLOATING_POINT = (
    refused("floating point at EL1: CPACR_EL1.FPEN", 1, 1, "fmov d0, x1", {"CPACR_EL1": CPACR & ~FPEN}),
    refused(
        "Advanced SIMD at EL0: CPACR_EL1.FPEN",
        0,
        1,
        "add v0.4s, v1.4s, v2.4s",
        {"CPACR_EL1": CPACR & ~FPEN | ONLY_EL1_FPEN},
    ),
    refused("FPCR at EL1: CPTR_EL2.TFP", 1, 2, "mrs x3, FPCR", {"CPTR_EL2": BASE["CPTR_EL2"] | CPTR_TFP}),
    refused("floating point at EL0: CPTR_EL2.TFP", 0, 2, "ldr q0, [x1]", {"CPTR_EL2": BASE["CPTR_EL2"] | CPTR_TFP}),
    refused("floating point at EL2: CPTR_EL2.TFP", 2, 2, "fmov d0, x1", {"CPTR_EL2": BASE["CPTR_EL2"] | CPTR_TFP}),
    refused(
        "floating point at EL1: CPTR_EL3.TFP",
        1,
        3,
        "fmov d0, x1",
        {"CPTR_EL3": BASE["CPTR_EL3"] | CPTR_TFP},
        level=3,
    ),
)
SVE = (
    refused(
        "SVE at EL1: CPACR_EL1.ZEN", 1, 1, "ptrue p0.b", {"CPACR_EL1": CPACR & ~ZEN}, EC.SVE_ACCESS, needs=("SVE",)
    ),
    refused(
        "SVE at EL0: CPACR_EL1.ZEN",
        0,
        1,
        "add z0.s, z0.s, z1.s",
        {"CPACR_EL1": CPACR & ~ZEN | ONLY_EL1_ZEN},
        EC.SVE_ACCESS,
        needs=("SVE",),
    ),
    refused(
        "SVE at EL1: CPTR_EL2.TZ",
        1,
        2,
        "rdvl x3, #1",
        {"CPTR_EL2": BASE["CPTR_EL2"] | CPTR_TZ},
        EC.SVE_ACCESS,
        needs=("SVE",),
    ),
    refused(
        "ZCR_EL1 at EL1: CPTR_EL2.TZ",
        1,
        2,
        "mrs x3, ZCR_EL1",
        {"CPTR_EL2": BASE["CPTR_EL2"] | CPTR_TZ},
        EC.SVE_ACCESS,
        needs=("SVE",),
    ),
    refused(
        "SVE at EL1: CPTR_EL3.EZ",
        1,
        3,
        "ptrue p0.b",
        {"CPTR_EL3": BASE["CPTR_EL3"] & ~bits(8)},
        EC.SVE_ACCESS,
        needs=("SVE",),
        level=3,
    ),
)
SME = (
    refused(
        "SMSTART at EL1: CPACR_EL1.SMEN",
        1,
        1,
        "smstart",
        {"CPACR_EL1": CPACR & ~SMEN},
        EC.SME_ACCESS,
        {"SMTC": 0},
        ("SME",),
    ),
    refused(
        "SMSTART at EL1: CPTR_EL2.TSM",
        1,
        2,
        "smstart",
        {"CPTR_EL2": BASE["CPTR_EL2"] | CPTR_TSM},
        EC.SME_ACCESS,
        {"SMTC": 0},
        ("SME",),
    ),
    refused(
        "SMCR_EL1 at EL1: CPTR_EL2.TSM",
        1,
        2,
        "mrs x3, SMCR_EL1",
        {"CPTR_EL2": BASE["CPTR_EL2"] | CPTR_TSM},
        EC.SME_ACCESS,
        {"SMTC": 0},
        ("SME",),
    ),
    refused(
        "an instruction of Streaming SVE mode outside it",
        1,
        1,
        "addha za0.s, p0/m, p1/m, z0.s",
        {"SVCR": ZA},
        EC.SME_ACCESS,
        {"SMTC": NOT_STREAMING},
        ("SME",),
    ),
    refused(
        "an Advanced SIMD instruction in Streaming SVE mode",
        1,
        1,
        "add v0.4s, v1.4s, v2.4s",
        {"SVCR": SM, "SMCR_EL1": 0b1111},
        EC.SME_ACCESS,
        {"SMTC": IN_STREAMING},
        ("SME",),
    ),
    refused("ZA without ZA", 1, 1, "zero {za}", {"SVCR": SM}, EC.SME_ACCESS, {"SMTC": NO_ZA}, ("SME",)),
)
OTHERS = (
    refused(
        "PACIA at EL1: HCR_EL2.API",
        1,
        2,
        "pacia x0, x1",
        {"HCR_EL2": HCR & ~API, "SCTLR_EL1": SCTLR_EL1 | bits(31)},
        EC.POINTER_AUTHENTICATION,
        needs=("PAuth",),
    ),
    refused(
        "AUTIBSP at EL0: HCR_EL2.API",
        0,
        2,
        "autibsp",
        {"HCR_EL2": HCR & ~API, "SCTLR_EL1": SCTLR_EL1 | bits(30)},
        EC.POINTER_AUTHENTICATION,
        needs=("PAuth",),
    ),
    refused(
        "PACGA at EL1: HCR_EL2.API",
        1,
        2,
        "pacga x0, x1, x2",
        {"HCR_EL2": HCR & ~API},
        EC.POINTER_AUTHENTICATION,
        needs=("PAuth",),
    ),
    refused(
        "PACGA at EL2: SCR_EL3.API",
        2,
        3,
        "pacga x0, x1, x2",
        {"SCR_EL3": EVERY_CASE["SCR_EL3"] & ~bits(17)},
        EC.POINTER_AUTHENTICATION,
        needs=("PAuth",),
        level=3,
    ),
    Trigger(
        name="ERET at EL1: HFGITR_EL2.ERET",
        case=at(1, "eret", {"HFGITR_EL2": BASE["HFGITR_EL2"] | FGT_ERET}),
        target=2,
        ec=EC.ERET,
        fields={"ERET": 0},
        needs=("FGT",),
    ),
    Trigger(
        name="ERETAA at EL1: HFGITR_EL2.ERET",
        case=at(1, "eretaa", {"HFGITR_EL2": BASE["HFGITR_EL2"] | FGT_ERET}),
        target=2,
        ec=EC.ERET,
        fields={"ERET": 1, "ERETA": 0},
        needs=("FGT",),
    ),
    Trigger(
        name="ERETAB at EL1: HFGITR_EL2.ERET",
        case=at(1, "eretab", {"HFGITR_EL2": BASE["HFGITR_EL2"] | FGT_ERET}),
        target=2,
        ec=EC.ERET,
        fields={"ERET": 1, "ERETA": 1},
        needs=("FGT",),
    ),
    Trigger(
        name="ERET at EL1: HCR_EL2.NV",
        case=at(1, "eret", {"HCR_EL2": HCR | NV}),
        target=2,
        ec=EC.ERET,
        fields={"ERET": 0},
        needs=("NV",),
    ),
    Trigger(
        name="ST64BV at EL1: HCRX_EL2.EnASR",
        case=at(1, "st64bv x3, x8, [x1]", {"HCRX_EL2": BASE["HCRX_EL2"] & ~bits(2)}, {1: DATA}),
        target=2,
        ec=EC.OTHER_INSTRUCTION,
        fields={"ISS": 0},
        instruction="ST64BV",
        needs=("LS64_V",),
    ),
    Trigger(
        name="LD64B at EL1: HCRX_EL2.EnALS",
        case=at(1, "ld64b x8, [x1]", {"HCRX_EL2": BASE["HCRX_EL2"] & ~bits(1)}, {1: DATA}),
        target=2,
        ec=EC.OTHER_INSTRUCTION,
        fields={"ISS": 2},
        instruction="LD64B or ST64B",
        needs=("LS64",),
    ),
)
TRIGGERS: tuple[Trigger, ...] = (*WAITS, *FLOATING_POINT, *SVE, *SME, *OTHERS)
