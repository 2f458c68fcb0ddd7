"""Classes that came with an extension: BTI, FPAC, MTE, MOPS, GCS, RAS's virtual SError, RME's granule protection."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.controls import BASE, EVERY_CASE, SCTLR_EL1, bits
from tests.guests.syndromes import CODE, DAIF, DATA, EL0T, RAM, Case
from tests.guests.triggers.aborts import GUARDED, GUARDED_USER, STAGE_1_ON, TAGGED_MEMORY, va
from tests.guests.triggers.model import Trigger, at

HCR = EVERY_CASE["HCR_EL2"]
M, ENIA, ENIB, ENDA, ENDB = bits(0), bits(31), bits(30), bits(27), bits(13)
BT0, BT1, ATA, TCF_SYNCHRONOUS = bits(35), bits(36), bits(43), bits(40)
VSE, AMO = bits(8), bits(5)
PSTATE_A, PSTATE_C, PSTATE_EXLOCK = bits(8), bits(29), bits(34)
TAG_CHECK = 0b010001


def branch_target(el: int, btype: int, source: str = "nop") -> Trigger:
    block = GUARDED if el else GUARDED_USER
    entry = va(block, CODE - RAM)
    case = at(el, source, {**STAGE_1_ON, "SCTLR_EL1": SCTLR_EL1 | M | BT0 | BT1}, pstate=btype << 10)
    return Trigger(
        name=f"{source} at EL{el} with PSTATE.BTYPE {btype:#04b}",
        case=replace(case, entry=entry),
        target=1,
        ec=EC.BRANCH_TARGET,
        fields={"BTYPE": btype},
        instruction="",
        elr=entry,
        needs=("BTI",),
    )


BTI = (
    *(branch_target(el, btype) for el in (0, 1) for btype in (1, 2, 3)),
    branch_target(1, 2, "bti j"),
    branch_target(1, 3, "bti c"),
    branch_target(1, 3, "paciasp"),
)


def authentication(source: str, data: int, b: int) -> Trigger:
    return Trigger(
        name=f"{source} of what was not signed",
        case=at(1, source, {"SCTLR_EL1": SCTLR_EL1 | ENIA | ENIB | ENDA | ENDB}, {0: 0x0055_0000_1234_5678, 1: 7}),
        target=1,
        ec=EC.POINTER_AUTHENTICATION_FAILURE,
        fields={"DataKey": data, "BKey": b},
        instruction="",
        needs=("FPAC",),
    )


FPAC = (
    authentication("autia x0, x1", 0, 0),
    authentication("autib x0, x1", 0, 1),
    authentication("autda x0, x1", 1, 0),
    authentication("autdzb x0", 1, 1),
)


def tagged(source: str, el: int, write: int, registers: dict[str, int]) -> Trigger:
    address = va(TAGGED_MEMORY) | 5 << 56
    every = {**STAGE_1_ON, "TCR_EL1": STAGE_1_ON["TCR_EL1"] | bits(37), **registers}
    return Trigger(
        name=f"{source} at EL{el} with another tag",
        case=at(el, source, every, {1: address}),
        target=1,
        ec=EC.DATA_ABORT_SAME_EL,
        fields={"DFSC": TAG_CHECK, "WnR": write, "ISV": 0},
        instruction="",
        far=address,
        needs=("MTE2",),
    )


MTE = tuple(
    tagged(source, 1, write, {"SCTLR_EL1": SCTLR_EL1 | M | ATA | TCF_SYNCHRONOUS})
    for source, write in (("ldr x7, [x1]", 0), ("str x7, [x1]", 1), ("ldp x7, x8, [x1]", 0), ("strb w7, [x1]", 1))
)


def copy(source: str, mem_inst: int, options: int, epilogue: int, el: int = 1, target: int = 1) -> Trigger:
    """Return a main part or an epilogue after a prologue of option B, on a PE that has option A."""
    fields = {
        "MemInst": mem_inst,
        "Options": options,
        "FromEpilogue": epilogue,
        "destreg": 3,
        "srcreg": 4,
        "sizereg": 5,
    }
    registers = {} if target == 1 else {"HCRX_EL2": BASE["HCRX_EL2"] | bits(10)}
    where = " to EL2: HCRX_EL2.MCE2" if target == 2 else ""
    return Trigger(
        name=f"{source}, begun by the other option{where}",
        case=at(el, source, registers, {3: DATA, 4: DATA + 0x100, 5: 16}, PSTATE_C),
        target=target,
        ec=EC.MEMORY_OPERATION,
        fields={**fields, "WrongOption": 1},
        needs=("MOPS",),
    )


MOPS = (
    copy("cpym [x3]!, [x4]!, x5!", 0, 0b0000, 0),
    copy("cpye [x3]!, [x4]!, x5!", 0, 0b0000, 1),
    copy("cpyfmwn [x3]!, [x4]!, x5!", 0, 0b0100, 0),
    copy("cpyfert [x3]!, [x4]!, x5!", 0, 0b0010, 1),
    copy("cpymtn [x3]!, [x4]!, x5!", 0, 0b1111, 0),
    copy("setm [x3]!, x5!, x4", 1, 0b0000, 0),
    copy("setet [x3]!, x5!, x4", 1, 0b0001, 1),
    copy("setmn [x3]!, x5!, x4", 1, 0b0010, 0),
    copy("cpym [x3]!, [x4]!, x5!", 0, 0b0000, 0, target=2),
)
SERRORS = (
    Trigger(
        name="a virtual SError: HCR_EL2.VSE",
        case=at(1, "msr DAIFClr, #4\n here: nop\n nop", {"HCR_EL2": HCR | AMO | VSE}),
        target=1,
        ec=EC.SERROR,
        fields={},
        instruction="",
        serror=True,
    ),
    Trigger(
        name="a virtual SError with VSESR_EL2",
        case=at(1, "msr DAIFClr, #4\n here: nop\n nop", {"HCR_EL2": HCR | AMO | VSE, "VSESR_EL2": bits(24) | 0xABCDE}),
        target=1,
        ec=EC.SERROR,
        fields={"IDS": 1, "ISS": 0xABCDE},
        instruction="",
        serror=True,
        needs=("RAS",),
    ),
    Trigger(
        name="a virtual SError at EL0",
        case=Case("nop", EL0T | DAIF & ~PSTATE_A, {"HCR_EL2": HCR | AMO | VSE, "VSESR_EL2": 0}),
        target=1,
        ec=EC.SERROR,
        fields={"IDS": 0},
        instruction="",
        serror=True,
        needs=("RAS",),
    ),
)
TRIGGERS: tuple[Trigger, ...] = (*BTI, *FPAC, *MTE, *MOPS, *SERRORS)
