"""Instruction and Data Aborts, of both stages, by the tables that are laid here once.

Stage 1 and stage 2 map 1 GiB blocks; each number below is the block's place in its table, and so its address.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.controls import EVERY_CASE, SCTLR_EL1, bits
from tests.guests.syndromes import CODE, DAIF, EL1H, RAM, TABLES, Case, Syndromes
from tests.guests.triggers.model import AT, Trigger, at

HCR = EVERY_CASE["HCR_EL2"]
M, A = bits(0), bits(1)
GIB = 1 << 30
INNER_WRITE_BACK = 0b01 << 8 | 0b01 << 10 | 0b11 << 12
"""IRGN0, ORGN0 and SH0."""
TCR = 25 | INNER_WRITE_BACK | bits(23) | 0b010 << 32  # T0SZ: from level 1; EPD1; IPS of 40 bits
MAIR = 0xF0_FF_00
DEVICE, NORMAL, TAGGED = range(3)
NOWHERE = 0xC000_0000
"""A physical address at which the machine has nothing."""

(
    FLASH,
    MEMORY,
    USER,
    GUARDED,
    GUARDED_USER,
    OLD,
    READ_ONLY,
    NO_EXECUTE,
    NOT_MAPPED,
    TOO_LARGE,
    LOST_TABLE,
    DEVICE_MEMORY,
    TAGGED_MEMORY,
    ABSENT,
    STAGE_2_TABLE,
    USER_TAGGED,
    REFUSED_BY_STAGE_2,
) = range(17)
ROOT_1, ROOT_2 = TABLES, TABLES + 0x1000
AF, AP_USER, AP_READ_ONLY, SHAREABLE = bits(10), bits(6), bits(7), 0b11 << 8
GP, PXN, UXN, XN_STAGE_2 = bits(50), bits(53), bits(54), bits(54)
BLOCK, TABLE = 0b01, 0b11
S2AP_READ, S2AP_WRITE, MEMATTR_NORMAL = bits(6), bits(7), 0b1111 << 2
STAGE_1_ON = {"MAIR_EL1": MAIR, "TCR_EL1": TCR, "TTBR0_EL1": ROOT_1, "SCTLR_EL1": SCTLR_EL1 | M}
STAGE_2_ON = {
    "VTCR_EL2": 25 | 0b01 << 6 | INNER_WRITE_BACK | 0b010 << 16 | bits(31),
    "VTTBR_EL2": ROOT_2,
    "HCR_EL2": HCR | bits(0),
}
TRANSLATION_1, ACCESS_FLAG_1, PERMISSION_1, ADDRESS_SIZE_1 = 0b000101, 0b001001, 0b001101, 0b000001
EXTERNAL, EXTERNAL_ON_WALK_2, ALIGNMENT = 0b010000, 0b010110, 0b100001
EXCLUSIVE_UNSUPPORTED = 0b110101
WITH_IPA = (TRANSLATION_1, ACCESS_FLAG_1, ADDRESS_SIZE_1)
"""The faults of stage 2 that leave HPFAR_EL2 the IPA, besides those on a stage 1 walk."""
PAGE = 0x5000
"""Where in a block the accesses are, from the start of the RAM on."""


def va(block: int, offset: int = PAGE) -> int:
    return block * GIB + offset


def lay(guest: Syndromes) -> None:
    """Write the tables of both stages."""
    usual = BLOCK | AF | SHAREABLE | NORMAL << 2
    first = {
        FLASH: BLOCK | AF | DEVICE << 2,
        MEMORY: usual | RAM,
        USER: usual | RAM | AP_USER,
        GUARDED: usual | RAM | GP,
        GUARDED_USER: usual | RAM | GP | AP_USER,
        OLD: usual & ~AF | RAM,
        READ_ONLY: usual | RAM | AP_READ_ONLY,
        NO_EXECUTE: usual | RAM | PXN | UXN,
        NOT_MAPPED: 0,
        TOO_LARGE: usual | bits(44),
        LOST_TABLE: TABLE | NOWHERE,
        DEVICE_MEMORY: BLOCK | AF | DEVICE << 2 | RAM,
        TAGGED_MEMORY: BLOCK | AF | SHAREABLE | TAGGED << 2 | RAM,
        ABSENT: usual | NOWHERE,
        STAGE_2_TABLE: TABLE | va(NOT_MAPPED, 0),
        USER_TAGGED: BLOCK | AF | SHAREABLE | TAGGED << 2 | RAM | AP_USER,
        REFUSED_BY_STAGE_2: usual | va(NOT_MAPPED, 0),
    }
    allowed = BLOCK | AF | SHAREABLE | MEMATTR_NORMAL | S2AP_READ | S2AP_WRITE
    second = {
        FLASH: BLOCK | AF | S2AP_READ | S2AP_WRITE,
        MEMORY: allowed | RAM,
        OLD: allowed & ~AF | RAM,
        READ_ONLY: allowed & ~S2AP_WRITE | RAM,
        NO_EXECUTE: allowed | XN_STAGE_2 | RAM,
        NOT_MAPPED: 0,
        TOO_LARGE: allowed | bits(44),
        LOST_TABLE: TABLE | NOWHERE,
        ABSENT: allowed | NOWHERE,
    }
    for place, table in ((ROOT_1, first), (ROOT_2, second)):
        entries = [table.get(number, 0) for number in range(512)]
        guest.write(place, b"".join(entry.to_bytes(8, "little") for entry in entries))


def own_fetch(name: str, block: int, status: int, el: int = 1, far: int | None = None) -> Trigger:
    """Return a fetch by stage 1, from EL1 by itself or by the return to EL0."""
    entry = block * GIB + CODE - RAM if far is None else far
    ec = EC.INSTRUCTION_ABORT_SAME_EL if el else EC.INSTRUCTION_ABORT_LOWER_EL
    return Trigger(
        name=f"a fetch at EL{el}: {name}",
        case=replace(at(el, "nop", STAGE_1_ON), entry=entry),
        target=1,
        ec=ec,
        fields={"IFSC": status, "S1PTW": 0},
        instruction="",
        far=entry,
        elr=entry,
    )


def own_data(name: str, source: str, address: int, status: int, write: int = 0, el: int = 1, **more: int) -> Trigger:
    """Return an access that stage 1 refuses; EL0 runs where it is mapped."""
    case = at(el, source, STAGE_1_ON, {1: address})
    elr = None
    if el == 0:
        case = replace(case, entry=va(USER, CODE - RAM))
        elr = case.entry
    return Trigger(
        name=f"{source} at EL{el}: {name}",
        case=case,
        target=1,
        ec=EC.DATA_ABORT_SAME_EL if el else EC.DATA_ABORT_LOWER_EL,
        fields={"DFSC": status, "WnR": write, "ISV": 0, "S1PTW": 0, **more},
        instruction="",
        far=address,
        elr=elr,
    )


OWN = (
    own_fetch("not mapped", NOT_MAPPED, TRANSLATION_1),
    own_fetch("AF clear", OLD, ACCESS_FLAG_1),
    own_fetch("PXN", NO_EXECUTE, PERMISSION_1),
    own_fetch("writable at EL0", USER, PERMISSION_1),
    own_fetch("UXN", NO_EXECUTE, PERMISSION_1, 0),
    own_fetch("not mapped", NOT_MAPPED, TRANSLATION_1, 0),
    own_fetch("an output beyond IPS", TOO_LARGE, ADDRESS_SIZE_1),
    own_fetch("a table where there is nothing", LOST_TABLE, EXTERNAL_ON_WALK_2),
    own_fetch("beyond T0SZ", 0, 0b000100, far=1 << 45),
    own_data("not mapped", "ldr x7, [x1]", va(NOT_MAPPED), TRANSLATION_1),
    own_data("not mapped", "str w7, [x1]", va(NOT_MAPPED), TRANSLATION_1, 1),
    own_data("AF clear", "ldrb w7, [x1]", va(OLD), ACCESS_FLAG_1),
    own_data("read-only", "strh w7, [x1]", va(READ_ONLY), PERMISSION_1, 1),
    own_data("read-only", "stp x7, x8, [x1]", va(READ_ONLY), PERMISSION_1, 1),
    own_data("an output beyond IPS", "ldr x7, [x1]", va(TOO_LARGE), ADDRESS_SIZE_1),
    own_data("a table where there is nothing", "ldr x7, [x1]", va(LOST_TABLE), EXTERNAL_ON_WALK_2),
    own_data("not for EL0", "ldr x7, [x1]", va(MEMORY), PERMISSION_1, 0, 0),
    own_data("not for EL0", "str x7, [x1]", va(MEMORY), PERMISSION_1, 1, 0),
    own_data("not mapped", "ldr x7, [x1]", va(NOT_MAPPED), TRANSLATION_1, 0, 0),
    own_data("unprivileged", "ldtr x7, [x1]", va(MEMORY), PERMISSION_1),
    own_data("unaligned in Device memory", "ldr x7, [x1]", va(DEVICE_MEMORY) + 1, ALIGNMENT),
    own_data("unaligned in Device memory", "str w7, [x1]", va(DEVICE_MEMORY) + 2, ALIGNMENT, 1),
    own_data("a table where there is nothing", "dc ivac, x1", va(LOST_TABLE), EXTERNAL_ON_WALK_2, 1, CM=1),
    own_data("not mapped", "dc civac, x1", va(NOT_MAPPED), TRANSLATION_1, 1, CM=1),
    own_data("not mapped", "dc zva, x1", va(NOT_MAPPED, 0x4000), TRANSLATION_1, 1, CM=0),
    own_data("not mapped", "ic ivau, x1", va(NOT_MAPPED), TRANSLATION_1, 0, CM=1),
    own_data("there is nothing", "ldr x7, [x1]", va(ABSENT), EXTERNAL),
    own_data("there is nothing", "str x7, [x1]", va(ABSENT), EXTERNAL, 1),
    own_data("unaligned", "ldar x7, [x1]", va(MEMORY) + 12, ALIGNMENT),
    own_data("unaligned", "ldxr x7, [x1]", va(MEMORY) + 12, ALIGNMENT),
    replace(
        own_data("not mapped", "ldadd x7, x8, [x1]", va(NOT_MAPPED), TRANSLATION_1, 0),
        needs=("LSE",),
    ),
    replace(
        own_data("read-only", "ldadd x7, x8, [x1]", va(READ_ONLY), PERMISSION_1, 1),
        needs=("LSE",),
    ),
    replace(own_data("read-only", "cas x7, x8, [x1]", va(READ_ONLY), PERMISSION_1, 1), needs=("LSE",)),
    Trigger(
        name="an unaligned load at EL1: SCTLR_EL1.A",
        case=at(1, "ldr x7, [x1]", {**STAGE_1_ON, "SCTLR_EL1": SCTLR_EL1 | M | A}, {1: va(MEMORY) + 3}),
        target=1,
        ec=EC.DATA_ABORT_SAME_EL,
        fields={"DFSC": ALIGNMENT, "WnR": 0, "ISV": 0},
        instruction="",
        far=va(MEMORY) + 3,
    ),
    Trigger(
        name="nothing at that physical address, the MMU off, at EL1",
        case=at(1, "ldr x7, [x1]", x={1: NOWHERE + 8}),
        target=1,
        ec=EC.DATA_ABORT_SAME_EL,
        fields={"DFSC": EXTERNAL, "WnR": 0, "ISV": 0, "FnV": 0},
        instruction="",
        far=NOWHERE + 8,
    ),
    Trigger(
        name="nothing at that physical address, the MMU off, at EL2",
        case=at(2, "str x7, [x1]", x={1: NOWHERE + 16}),
        target=2,
        ec=EC.DATA_ABORT_SAME_EL,
        fields={"DFSC": EXTERNAL, "WnR": 1, "ISV": 0, "FnV": 0},
        instruction="",
        far=NOWHERE + 16,
    ),
    Trigger(
        name="a fetch where there is nothing, the MMU off, at EL1",
        case=Case("nop", EL1H | DAIF, entry=NOWHERE),
        target=1,
        ec=EC.INSTRUCTION_ABORT_SAME_EL,
        fields={"IFSC": EXTERNAL, "FnV": 0},
        instruction="",
        far=NOWHERE,
        elr=NOWHERE,
    ),
    Trigger(
        name="nothing at that physical address: SCR_EL3.EA",
        case=at(1, "ldr x7, [x1]", {"SCR_EL3": EVERY_CASE["SCR_EL3"] | bits(3)}, {1: NOWHERE + 8}),
        target=3,
        ec=EC.DATA_ABORT_LOWER_EL,
        fields={"DFSC": EXTERNAL, "WnR": 0},
        instruction="",
        far=NOWHERE + 8,
        level=3,
    ),
)


@dataclass(frozen=True)
class Moved:
    """A load or store of one register, and what ISS says of it."""

    source: str
    SAS: int
    SF: int
    SSE: int = 0
    AR: int = 0
    WnR: int = 0
    needs: tuple[str, ...] = ()


MOVED = (
    Moved("ldrb {w}, [x1]", 0, 0),
    Moved("ldrh {w}, [x1]", 1, 0),
    Moved("ldr {w}, [x1]", 2, 0),
    Moved("ldr {x}, [x1]", 3, 1),
    Moved("ldrsb {w}, [x1]", 0, 0, 1),
    Moved("ldrsb {x}, [x1]", 0, 1, 1),
    Moved("ldrsh {w}, [x1]", 1, 0, 1),
    Moved("ldrsh {x}, [x1]", 1, 1, 1),
    Moved("ldrsw {x}, [x1]", 2, 1, 1),
    Moved("strb {w}, [x1]", 0, 0, WnR=1),
    Moved("strh {w}, [x1]", 1, 0, WnR=1),
    Moved("str {w}, [x1]", 2, 0, WnR=1),
    Moved("str {x}, [x1]", 3, 1, WnR=1),
    Moved("ldr {x}, [x1, #8]", 3, 1),
    Moved("ldr {x}, [x1, x2]", 3, 1),
    Moved("ldur {w}, [x1, #-4]", 2, 0),
    Moved("ldtr {x}, [x1]", 3, 1),
    Moved("sttrb {w}, [x1]", 0, 0, WnR=1),
    Moved("ldarb {w}, [x1]", 0, 0, AR=1),
    Moved("ldarh {w}, [x1]", 1, 0, AR=1),
    Moved("ldar {w}, [x1]", 2, 0, AR=1),
    Moved("ldar {x}, [x1]", 3, 1, AR=1),
    Moved("stlrb {w}, [x1]", 0, 0, AR=1, WnR=1),
    Moved("stlr {x}, [x1]", 3, 1, AR=1, WnR=1),
    Moved("ldapr {x}, [x1]", 3, 1, AR=1, needs=("LRCPC",)),
)
OFFSETS = {"ldr {x}, [x1, #8]": 8, "ldur {w}, [x1, #-4]": -4}
NOT_ONE_REGISTER = (
    ("ldp x7, x8, [x1]", 0, ()),
    ("stp w7, w8, [x1]", 1, ()),
    ("ldr x7, [x1], #8", 0, ()),
    ("str x7, [x1, #8]!", 1, ()),
    ("ldxr x7, [x1]", 0, ()),
    ("ldaxr w7, [x1]", 0, ()),
    ("ldr q7, [x1]", 0, ()),
    ("str d7, [x1]", 1, ()),
    ("swp x7, x8, [x1]", 0, ("LSE",)),
    ("casal x7, x8, [x1]", 0, ("LSE",)),
)


def through(name: str, source: str, block: int, status: int, el: int = 1, **fields: int) -> Trigger:
    """Return an access that stage 2 refuses, with stage 1 off: the VA is the IPA."""
    return Trigger(
        name=f"{source} at EL{el}, stage 2: {name}",
        case=at(el, source, STAGE_2_ON, {1: va(block)}),
        target=2,
        ec=EC.DATA_ABORT_LOWER_EL,
        fields={"DFSC": status, "S1PTW": 0, **fields},
        instruction="",
        far=va(block) + OFFSETS.get(source, 0),
        ipa=va(block) if status in WITH_IPA else None,
    )


def moved(each: Moved, number: int) -> Trigger:
    source = each.source.format(w=f"w{number}" if number < 31 else "wzr", x=f"x{number}" if number < 31 else "xzr")
    fields = {"ISV": 1, "SAS": each.SAS, "SSE": each.SSE, "SRT": number, "SF": each.SF, "AR": each.AR, "WnR": each.WnR}
    found = through("not mapped", source, NOT_MAPPED, TRANSLATION_1, **fields)
    far = va(NOT_MAPPED) + OFFSETS.get(each.source, 0)
    return replace(found, far=far, ipa=far, needs=each.needs)


def second_fetch(name: str, block: int, status: int, el: int) -> Trigger:
    entry = va(block, CODE - RAM)
    return Trigger(
        name=f"a fetch at EL{el}, stage 2: {name}",
        case=Case("nop", AT[el] | DAIF, STAGE_2_ON, entry=entry),
        target=2,
        ec=EC.INSTRUCTION_ABORT_LOWER_EL,
        fields={"IFSC": status, "S1PTW": 0},
        instruction="",
        far=entry,
        ipa=entry if status in WITH_IPA else None,
        elr=entry,
    )


BOTH = {**STAGE_1_ON, **STAGE_2_ON}
STAGE_2 = (
    *(moved(each, 7) for each in MOVED),
    *(moved(MOVED[3], number) for number in (0, *range(2, 32))),
    *(moved(MOVED[12], number) for number in (0, *range(2, 32))),
    *(
        replace(through("not mapped", source, NOT_MAPPED, TRANSLATION_1, ISV=0, WnR=write), needs=needs)
        for source, write, needs in NOT_ONE_REGISTER
        if source != "str x7, [x1, #8]!"
    ),
    replace(
        through("not mapped", "str x7, [x1, #8]!", NOT_MAPPED, TRANSLATION_1, ISV=0, WnR=1), far=va(NOT_MAPPED) + 8
    ),
    through("AF clear", "ldr x7, [x1]", OLD, ACCESS_FLAG_1, ISV=1),
    through("read-only", "str x7, [x1]", READ_ONLY, PERMISSION_1, WnR=1),
    through("an output beyond PS", "ldr x7, [x1]", TOO_LARGE, ADDRESS_SIZE_1),
    through("a table where there is nothing", "ldr x7, [x1]", LOST_TABLE, EXTERNAL_ON_WALK_2),
    through("not mapped", "ldr x7, [x1]", NOT_MAPPED, TRANSLATION_1, 0, ISV=1, SRT=7),
    through("not mapped", "dc ivac, x1", NOT_MAPPED, TRANSLATION_1, CM=1, ISV=0, WnR=1),
    second_fetch("not mapped", NOT_MAPPED, TRANSLATION_1, 1),
    second_fetch("AF clear", OLD, ACCESS_FLAG_1, 0),
    second_fetch("XN", NO_EXECUTE, PERMISSION_1, 1),
    Trigger(
        name="a load at EL1, whose stage 1 table stage 2 does not map",
        case=at(1, "ldr x7, [x1]", BOTH, {1: va(STAGE_2_TABLE)}),
        target=2,
        ec=EC.DATA_ABORT_LOWER_EL,
        fields={"DFSC": TRANSLATION_1, "S1PTW": 1},
        instruction="",
        far=va(STAGE_2_TABLE),
        ipa=va(NOT_MAPPED, 0),
    ),
    Trigger(
        name="a fetch at EL1, whose stage 1 table stage 2 does not map",
        case=replace(at(1, "nop", BOTH), entry=va(STAGE_2_TABLE)),
        target=2,
        ec=EC.INSTRUCTION_ABORT_LOWER_EL,
        fields={"IFSC": TRANSLATION_1, "S1PTW": 1},
        instruction="",
        far=va(STAGE_2_TABLE),
        ipa=va(NOT_MAPPED, 0),
        elr=va(STAGE_2_TABLE),
    ),
    Trigger(
        name="a stage 1 root that stage 2 does not map",
        case=at(1, "nop", {**BOTH, "TTBR0_EL1": va(NOT_MAPPED, 0x3000)}),
        target=2,
        ec=EC.INSTRUCTION_ABORT_LOWER_EL,
        fields={"IFSC": TRANSLATION_1, "S1PTW": 1},
        instruction="",
        far=CODE,
        ipa=va(NOT_MAPPED, 0x3000),
    ),
    Trigger(
        name="a load through both stages that stage 2 refuses",
        case=at(1, "ldr w30, [x1]", BOTH, {1: va(REFUSED_BY_STAGE_2, 0x1234560)}),
        target=2,
        ec=EC.DATA_ABORT_LOWER_EL,
        fields={"DFSC": TRANSLATION_1, "S1PTW": 0, "SRT": 30, "SAS": 2, "SF": 0, "ISV": 1},
        instruction="",
        far=va(REFUSED_BY_STAGE_2, 0x1234560),
        ipa=va(NOT_MAPPED, 0x1234000),
    ),
)
TRIGGERS: tuple[Trigger, ...] = (*OWN, *STAGE_2)
