"""Calls, and what has no class of its own: SVC, HVC, SMC, BRK, UNDEFINED, an illegal state, a misaligned PC or SP."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.controls import BASE, EVERY_CASE, SCTLR_EL1, bits
from tests.guests.syndromes import CODE, DAIF, DATA, EL1H, EL1T, EL2T, Case
from tests.guests.triggers.model import Trigger, at

HCR = EVERY_CASE["HCR_EL2"]
TSC, TGE = bits(19), bits(27)
IL, ILLEGAL_M = bits(20), 0b0110
FGT_SVC_EL0, FGT_SVC_EL1 = bits(52), bits(53)
MDCR_TDE = bits(8)
SCTLR_SA = SCTLR_EL1 | bits(3)


def calls(el: int, instruction: str, ec: EC, target: int, numbers: tuple[int, ...]) -> tuple[Trigger, ...]:
    return tuple(
        Trigger(
            name=f"{instruction} {number:#x} at EL{el}",
            case=at(el, f"{instruction} #{number:#x}"),
            target=target,
            ec=ec,
            fields={"imm16": number},
            immediate=number,
            returns_to_next=True,
        )
        for number in numbers
    )


def undefined(name: str, source: str, el: int, target: int, registers: dict[str, int] | None = None) -> Trigger:
    return Trigger(name=name, case=at(el, source, registers), target=target, ec=EC.UNKNOWN, instruction="")


TRIGGERS: tuple[Trigger, ...] = (
    *calls(0, "svc", EC.SVC, 1, (0, 0x12, 0xFFFF)),
    *calls(1, "svc", EC.SVC, 1, (0x34,)),
    *calls(2, "svc", EC.SVC, 2, (0x56,)),
    *calls(1, "hvc", EC.HVC, 2, (0, 0xEA1, 0xFFFF)),
    *calls(2, "hvc", EC.HVC, 2, (0x78,)),
    Trigger(
        name="SVC at EL0 under a host: HCR_EL2.TGE",
        case=at(0, "svc #7", {"HCR_EL2": HCR | TGE}),
        target=2,
        ec=EC.SVC,
        immediate=7,
        returns_to_next=True,
    ),
    Trigger(
        name="SVC at EL1, trapped: HFGITR_EL2.SVC_EL1",
        case=at(1, "svc #0x77", {"HFGITR_EL2": BASE["HFGITR_EL2"] | FGT_SVC_EL1}),
        target=2,
        ec=EC.SVC,
        immediate=0x77,
        needs=("FGT",),
    ),
    Trigger(
        name="SVC at EL0, trapped: HFGITR_EL2.SVC_EL0",
        case=at(0, "svc #0x78", {"HFGITR_EL2": BASE["HFGITR_EL2"] | FGT_SVC_EL0}),
        target=2,
        ec=EC.SVC,
        immediate=0x78,
        needs=("FGT",),
    ),
    Trigger(
        name="SMC at EL1, trapped: HCR_EL2.TSC",
        case=at(1, "nop\n here: smc #0x123", {"HCR_EL2": HCR | TSC}),
        target=2,
        ec=EC.SMC,
        immediate=0x123,
    ),
    *(
        Trigger(
            name=f"SMC at EL{el}",
            case=at(el, f"smc #{0x40 + el:#x}"),
            target=3,
            ec=EC.SMC,
            immediate=0x40 + el,
            returns_to_next=True,
            level=3,
        )
        for el in (1, 2, 3)
    ),
    Trigger(
        name="HVC at EL2 of a machine with EL3",
        case=at(2, "hvc #0x42"),
        target=2,
        ec=EC.HVC,
        immediate=0x42,
        returns_to_next=True,
        level=3,
    ),
    Trigger(
        name="HVC at EL3",
        case=at(3, "hvc #0x43"),
        target=3,
        ec=EC.HVC,
        immediate=0x43,
        returns_to_next=True,
        level=3,
    ),
    *(
        Trigger(name=f"BRK at EL{el}", case=at(el, f"brk #{number:#x}"), target=target, ec=EC.BRK, immediate=number)
        for el, target, number in ((0, 1, 0), (1, 1, 0x800), (2, 2, 0xFFFF))
    ),
    Trigger(
        name="BRK at EL1 with SP_EL0",
        case=Case("brk #1", EL1T | DAIF),
        target=1,
        ec=EC.BRK,
        immediate=1,
    ),
    Trigger(
        name="BRK at EL2 with SP_EL0",
        case=Case("brk #2", EL2T | DAIF),
        target=2,
        ec=EC.BRK,
        immediate=2,
    ),
    Trigger(
        name="BRK at EL1, debugged from EL2: MDCR_EL2.TDE",
        case=at(1, "brk #3", {"MDCR_EL2": MDCR_TDE}),
        target=2,
        ec=EC.BRK,
        immediate=3,
    ),
    undefined("UDF at EL0", "udf #0", 0, 1),
    undefined("UDF at EL1", "udf #0xffff", 1, 1),
    undefined("UDF at EL2", "udf #5", 2, 2),
    undefined("UDF at EL0 under a host", "udf #0", 0, 2, {"HCR_EL2": HCR | TGE}),
    undefined("a register of EL2 at EL1", "mrs x3, SCTLR_EL2", 1, 1),
    undefined("a register of EL1 at EL0", "mrs x3, SCTLR_EL1", 0, 1),
    undefined("a register that there is not", "mrs x3, S3_7_C15_C15_7", 1, 1),
    undefined("HVC at EL0", "hvc #0", 0, 1),
    undefined("ERET at EL0", "eret", 0, 1),
    undefined(
        "floating point at EL0 under a host, which CPACR_EL1 refuses",
        "fmov d0, x1",
        0,
        2,
        {
            "HCR_EL2": HCR | TGE,
            "CPACR_EL1": 0,
        },
    ),
    Trigger(
        name="ERET to an illegal M",
        case=at(1, "adr x2, here\n msr ELR_EL1, x2\n msr SPSR_EL1, x1\n eret\n here: nop", x={1: DAIF | ILLEGAL_M}),
        target=1,
        ec=EC.ILLEGAL_STATE,
        instruction="",
    ),
    Trigger(
        name="PSTATE.IL at EL1",
        case=at(1, "nop", pstate=IL),
        target=1,
        ec=EC.ILLEGAL_STATE,
        instruction="",
    ),
    Trigger(
        name="PSTATE.IL at EL0",
        case=at(0, "svc #0", pstate=IL),
        target=1,
        ec=EC.ILLEGAL_STATE,
        instruction="",
    ),
    Trigger(
        name="PSTATE.IL at EL2",
        case=at(2, "nop", pstate=IL),
        target=2,
        ec=EC.ILLEGAL_STATE,
        instruction="",
    ),
    *(
        Trigger(
            name=f"a misaligned PC at EL{el}",
            case=Case("nop", at(el, "").pstate, entry=CODE + 2),
            target=target,
            ec=EC.PC_ALIGNMENT,
            instruction="",
            far=CODE + 2,
            elr=CODE + 2,
        )
        for el, target in ((0, 1), (1, 1), (2, 2))
    ),
    Trigger(
        name="a branch to a misaligned PC",
        case=at(1, "br x1", x={1: CODE + 0x41}),
        target=1,
        ec=EC.PC_ALIGNMENT,
        instruction="",
        far=CODE + 0x41,
        elr=CODE + 0x41,
    ),
    Trigger(
        name="a load by a misaligned SP",
        case=Case("ldr x3, [sp]", EL1H | DAIF, {"SCTLR_EL1": SCTLR_SA, "SP_EL1": DATA + 8}),
        target=1,
        ec=EC.SP_ALIGNMENT,
        instruction="",
    ),
)
