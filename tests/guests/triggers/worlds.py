"""Who else may be in charge: a host at EL2 (VHE), a hypervisor under another (NV2), EL2's tables, Root state (RME)."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.controls import EVERY_CASE, SCTLR_EL2, bits
from tests.guests.syndromes import CODE, RAM, TABLES, Syndromes
from tests.guests.triggers.aborts import (
    EXTERNAL,
    INNER_WRITE_BACK,
    MAIR,
    NO_EXECUTE,
    NOT_MAPPED,
    NOWHERE,
    PERMISSION_1,
    READ_ONLY,
    ROOT_1,
    TRANSLATION_1,
    va,
)
from tests.guests.triggers.model import Trigger, at

HCR, SCR = EVERY_CASE["HCR_EL2"], EVERY_CASE["SCR_EL3"]
HOST = HCR | bits(27, 34)  # TGE, E2H
NESTED = HCR | bits(42, 43, 45)  # NV, NV1, NV2
M = bits(0)
TCR_EL2 = 25 | INNER_WRITE_BACK | 0b010 << 16 | bits(23, 31)
EL2_ON = {"MAIR_EL2": MAIR, "TCR_EL2": TCR_EL2, "TTBR0_EL2": ROOT_1, "SCTLR_EL2": SCTLR_EL2 | M}

HOSTED = (
    Trigger(
        name="VHE: SVC at EL0",
        case=at(0, "svc #0x99", {"HCR_EL2": HOST}),
        target=2,
        ec=EC.SVC,
        immediate=0x99,
        returns_to_next=True,
        needs=("VH",),
    ),
    Trigger(
        name="VHE: a load at EL0 where there is nothing",
        case=at(0, "ldr x7, [x1]", {"HCR_EL2": HOST}, {1: NOWHERE}),
        target=2,
        ec=EC.DATA_ABORT_LOWER_EL,
        fields={"DFSC": EXTERNAL, "ISV": 0, "WnR": 0},
        instruction="",
        far=NOWHERE,
        needs=("VH",),
    ),
    Trigger(
        name="VHE: floating point at EL0: CPTR_EL2.FPEN",
        case=at(0, "fmov d0, x1", {"CPTR_EL2": 0, "HCR_EL2": HOST}),
        target=2,
        ec=EC.FLOATING_POINT_ACCESS,
        fields={"CV": 1, "COND": 0b1110},
        instruction="",
        needs=("VH",),
    ),
    Trigger(
        name="VHE: WFI at EL0: SCTLR_EL2.nTWI",
        case=at(0, "wfi", {"SCTLR_EL2": SCTLR_EL2 & ~bits(16), "HCR_EL2": HOST}),
        target=2,
        ec=EC.WF,
        fields={"TI": 0},
        needs=("VH",),
    ),
)
NESTING = (
    Trigger(
        name="NV2: a register in memory where there is nothing",
        case=at(1, "mrs x3, VTTBR_EL2", {"VNCR_EL2": NOWHERE, "HCR_EL2": NESTED}),
        target=2,
        ec=EC.DATA_ABORT_SAME_EL,
        fields={"VNCR": 1, "DFSC": EXTERNAL, "WnR": 0, "ISV": 0},
        instruction="",
        far=NOWHERE + 0x20,
        needs=("NV2",),
    ),
    Trigger(
        name="NV2: a register in memory that EL2's tables do not map",
        case=at(1, "msr HCR_EL2, x3", {**EL2_ON, "VNCR_EL2": va(NOT_MAPPED, 0), "HCR_EL2": NESTED}),
        target=2,
        ec=EC.DATA_ABORT_SAME_EL,
        fields={"VNCR": 1, "DFSC": TRANSLATION_1, "WnR": 1, "ISV": 0},
        instruction="",
        far=va(NOT_MAPPED, 0x78),
        needs=("NV2",),
        level=3,
    ),
)


def of_el2(name: str, source: str, address: int, fields: dict[str, int]) -> Trigger:
    return Trigger(
        name=f"{source} at EL2: {name}",
        case=at(2, source, EL2_ON, {1: address}),
        target=2,
        ec=EC.DATA_ABORT_SAME_EL,
        fields={**fields, "ISV": 0, "S1PTW": 0},
        instruction="",
        far=address,
        level=3,
    )


ENTRY = va(NO_EXECUTE, CODE - RAM)
EL2 = (
    of_el2("not mapped", "ldr x7, [x1]", va(NOT_MAPPED), {"DFSC": TRANSLATION_1, "WnR": 0}),
    of_el2("read-only", "str x7, [x1]", va(READ_ONLY), {"DFSC": PERMISSION_1, "WnR": 1}),
    Trigger(
        name="a fetch at EL2: XN",
        case=replace(at(2, "nop", EL2_ON), entry=ENTRY),
        target=2,
        ec=EC.INSTRUCTION_ABORT_SAME_EL,
        fields={"IFSC": PERMISSION_1},
        instruction="",
        far=ENTRY,
        elr=ENTRY,
        level=3,
    ),
    Trigger(
        name="a load at EL3 where there is nothing",
        case=at(3, "ldr x7, [x1]", x={1: NOWHERE}),
        target=3,
        ec=EC.DATA_ABORT_SAME_EL,
        fields={"DFSC": EXTERNAL, "ISV": 0},
        instruction="",
        far=NOWHERE,
        level=3,
    ),
    Trigger(name="UDF at EL3", case=at(3, "udf #0"), target=3, ec=EC.UNKNOWN, instruction="", level=3),
    Trigger(name="BRK at EL3", case=at(3, "brk #0x33"), target=3, ec=EC.BRK, immediate=0x33, level=3),
    Trigger(
        name="mrs x7, RNDR at EL1: SCR_EL3.TRNDR",
        case=at(1, "mrs x7, RNDR", {"SCR_EL3": SCR | bits(40)}),
        target=3,
        ec=EC.SYSTEM,
        fields={"Rt": 7, "Direction": 1},
        needs=("RNDR_trap",),
        level=3,
    ),
)

GRANULES = TABLES + 0x3000
FORBIDDEN = 0x8000_0000
"""The GiB of physical addresses that no Security state may use."""
CHECKED = {"GPTBR_EL3": GRANULES >> 12, "GPCCR_EL3": bits(16) | 0b01 << 8 | 0b01 << 10 | 0b11 << 12}
GPF = bits(48)
GRANULE_PROTECTION = 0b101000
GPF_LEVEL_0 = 0b001100


def lay(guest: Syndromes) -> None:
    """Write the four blocks of the level 0 granule protection table."""
    block, none, any_state = 0b0001, 0b0000 << 4, 0b1111 << 4
    entries = [block | (none if number == FORBIDDEN >> 30 else any_state) for number in range(4)]
    guest.write(GRANULES, b"".join(entry.to_bytes(8, "little") for entry in entries))


ROOT_WORLD = (
    Trigger(
        name="RME: a load from another's granule: SCR_EL3.GPF",
        case=at(1, "ldr x7, [x1]", {**CHECKED, "SCR_EL3": SCR | GPF}, {1: FORBIDDEN + 0x18}),
        target=3,
        ec=EC.GRANULE_PROTECTION_CHECK,
        fields={"InD": 0, "GPCSC": GPF_LEVEL_0, "WnR": 0, "S1PTW": 0, "xFSC": GRANULE_PROTECTION},
        instruction="",
        far=FORBIDDEN + 0x18,
        needs=("RME",),
        level=3,
    ),
    Trigger(
        name="RME: a store to another's granule: SCR_EL3.GPF",
        case=at(1, "str x7, [x1]", {**CHECKED, "SCR_EL3": SCR | GPF}, {1: FORBIDDEN + 0x18}),
        target=3,
        ec=EC.GRANULE_PROTECTION_CHECK,
        fields={"InD": 0, "GPCSC": GPF_LEVEL_0, "WnR": 1, "xFSC": GRANULE_PROTECTION},
        instruction="",
        far=FORBIDDEN + 0x18,
        needs=("RME",),
        level=3,
    ),
    Trigger(
        name="RME: a fetch from another's granule: SCR_EL3.GPF",
        case=replace(at(1, "nop", {**CHECKED, "SCR_EL3": SCR | GPF}), entry=FORBIDDEN),
        target=3,
        ec=EC.GRANULE_PROTECTION_CHECK,
        fields={"InD": 1, "GPCSC": GPF_LEVEL_0, "xFSC": GRANULE_PROTECTION},
        instruction="",
        far=FORBIDDEN,
        elr=FORBIDDEN,
        needs=("RME",),
        level=3,
    ),
    Trigger(
        name="RME: a load from another's granule",
        case=at(1, "ldr x7, [x1]", CHECKED, {1: FORBIDDEN + 0x18}),
        target=1,
        ec=EC.DATA_ABORT_SAME_EL,
        fields={"DFSC": GRANULE_PROTECTION, "ISV": 0},
        instruction="",
        far=FORBIDDEN + 0x18,
        needs=("RME",),
        level=3,
    ),
)
TRIGGERS: tuple[Trigger, ...] = (*HOSTED, *NESTING, *EL2, *ROOT_WORLD)
