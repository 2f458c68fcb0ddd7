"""The Guarded Control Stack: what does not match it, what is locked by it, what may not write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.controls import bits
from tests.guests.syndromes import CODE, DATA, RAM, TABLES, Syndromes
from tests.guests.triggers.aborts import AF, BLOCK, GIB, NORMAL, SHAREABLE, STAGE_1_ON
from tests.guests.triggers.model import Trigger, at

PCRSEL, RVCHKEN, EXLOCKEN, PUSHMEN, STREN = bits(0), bits(5), bits(6), bits(8), bits(9)
"""Of GCSCR_EL1."""
PIE = bits(1)
READ_WRITE_EXECUTE, GCS_PAGE = 0b1110, 0b1001
"""Of PIR_EL1, at the PIIndex of each block below."""
PI_INDEX_1 = bits(6)
ROOT = TABLES + 0x2000
USUAL, STACK = GIB, 2 * GIB
TOP = STACK + DATA - RAM
"""Where the Guarded Control Stack is, all zeros: no return address and no cap."""
NOT_A_RETURN = TOP + 0x800
"""Where it has what is no return address."""
MSR_VBAR_EL1_X2 = 0xD518C002
MATCHED = {
    **STAGE_1_ON,
    "TTBR0_EL1": ROOT,
    "TCR2_EL1": PIE,
    "PIR_EL1": READ_WRITE_EXECUTE | GCS_PAGE << 4,
    "GCSPR_EL1": TOP,
    "GCSCR_EL1": PCRSEL | RVCHKEN | PUSHMEN,
}
DATA_CHECK, EXLOCK, STORE = range(3)
RET, GCSPOPM, RETAA, RETAB, GCSSS1 = range(5)
PERMISSION_1 = 0b001101


def lay(guest: Syndromes) -> None:
    usual = BLOCK | AF | SHAREABLE | NORMAL << 2 | RAM
    guest.write(ROOT, b"".join(entry.to_bytes(8, "little") for entry in (0, usual, usual | PI_INDEX_1, 0)))
    guest.write(NOT_A_RETURN - STACK + RAM, (0b11).to_bytes(8, "little"))


def guarded(name: str, source: str, fields: Mapping[str, int], instruction: str, **registers: int) -> Trigger:
    return Trigger(
        name=f"Guarded Control Stack: {name}",
        case=at(1, source, {**MATCHED, **registers}, {1: TOP, 3: TOP, 5: 0x4321, 30: 0x1234}),
        target=1,
        ec=EC.GUARDED_CONTROL_STACK,
        fields=fields,
        instruction=instruction,
        needs=("GCS",),
    )


def locked(instruction: str, word: int) -> Trigger:
    """Return an instruction in the vector of EL1's own SVC, where PSTATE.EXLOCK is set; our vectors are put back."""
    enter = "mrs x2, VBAR_EL1; msr VBAR_EL1, x4; str x5, [x4, #0x200]; dsb sy; ic iallu; dsb sy; isb; svc #0"
    found = guarded(f"{instruction} under EXLOCK", enter, {"ExType": EXLOCK}, "", GCSCR_EL1=PCRSEL | EXLOCKEN)
    case = replace(found.case, x={4: CODE, 5: word << 32 | MSR_VBAR_EL1_X2})
    return replace(found, case=case, elr=CODE + 0x204)


TRIGGERS: tuple[Trigger, ...] = (
    guarded("RET to another address", "ret", {"ExType": DATA_CHECK, "IT": RET, "Rn": 30}, "ret"),
    guarded("RET by X5", "ret x5", {"ExType": DATA_CHECK, "IT": RET, "Rn": 5}, "ret x5"),
    guarded("RETAA", "retaa", {"ExType": DATA_CHECK, "IT": RETAA, "Rn": 30}, "retaa"),
    guarded("RETAB", "retab", {"ExType": DATA_CHECK, "IT": RETAB, "Rn": 30}, "retab"),
    guarded(
        "GCSPOPM of no return address",
        "sysl x3, #3, c7, c7, #1",
        {"ExType": DATA_CHECK, "IT": GCSPOPM, "Rn": 3},
        "gcspopm x3",
        GCSPR_EL1=NOT_A_RETURN,
    ),
    guarded(
        "GCSSS1 without a cap", "sys #3, c7, c7, #2, x3", {"ExType": DATA_CHECK, "IT": GCSSS1, "Rn": 3}, "gcsss1 x3"
    ),
    guarded(
        "GCSSTR: GCSCR_EL1.STREn",
        ".inst 0xd91f0c25",
        {"ExType": STORE, "Raddr": 1, "Rvalue": 5},
        "GCSSTR or GCSSTTR X5, [X1]",
    ),
    *(
        locked(instruction, word)
        for instruction, word in (
            ("ERET", 0xD69F03E0),
            ("MSR ELR_EL1, X3", 0xD5184023),
            ("MSR SPSR_EL1, X3", 0xD5184003),
        )
    ),
    Trigger(
        name="GCSPUSHM: GCSCR_EL1.PUSHMEn",
        case=at(1, "sys #3, c7, c7, #0, x3", {**MATCHED, "GCSCR_EL1": PCRSEL}),
        target=1,
        ec=EC.SYSTEM,
        fields={"Rt": 3, "Direction": 0},
        instruction="gcspushm x3",
        needs=("GCS",),
    ),
    Trigger(
        name="BL, the Guarded Control Stack being elsewhere",
        case=at(1, "bl here\n here: nop", {**MATCHED, "GCSPR_EL1": USUAL + DATA - RAM}),
        target=1,
        ec=EC.DATA_ABORT_SAME_EL,
        fields={"GCS": 1, "WnR": 1, "DFSC": PERMISSION_1, "ISV": 0},
        instruction="",
        far=USUAL + DATA - RAM - 8,
        elr=CODE,
        needs=("GCS",),
    ),
    Trigger(
        name="a store to the Guarded Control Stack",
        case=at(1, "str x3, [x1]", MATCHED, {1: TOP}),
        target=1,
        ec=EC.DATA_ABORT_SAME_EL,
        fields={"GCS": 0, "WnR": 1, "DFSC": PERMISSION_1},
        instruction="",
        far=TOP,
        needs=("GCS",),
    ),
)
