"""What Xen prints on AArch64 when it takes a fault of its own: a walk of the address, and EL2's registers.

    Data Abort Trap. Syndrome=0x1c18046
    Walking Hypervisor VA 0x10 on CPU0 via TTBR 0x000000004032b000
    0TH[0x000] = 0x000000004032af7f

Source: Xen, `xen/arch/arm/traps.c` (do_trap_hyp_sync, do_unexpected_trap, _show_registers) and `xen/arch/arm/mm.c`
(dump_pt_walk), of 4.17; TCR_EL2 and MAIR_EL2, which are not printed, as `xen/arch/arm/arm64/head.S` sets them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.aarch64.registers.translation import MAIR, TCR_EL2
from gdbtools.arch.aarch64.syndrome import EC, ESR_ELx, decode
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.model import written_down
from gdbtools.errors import Unavailable
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar, followed_by_index

INPUT_BITS: Final = 48
_REGISTER_NAMES: Final = (
    "ESR_EL[12]", "FAR_EL[12]", "SCTLR_EL[12]", "TTBR0_EL[12]", "TTBR1_EL1", "TCR_EL1", "ELR_EL1", "SPSR_EL1",
    "VTCR_EL2", "VTTBR_EL2", "HCR_EL2", "HPFAR_EL2",
)  # fmt: skip
ENTRY: Final = re.compile(r"\b([0-3])(?:TH|ST|ND|RD)\[0x([0-9a-f]{1,4})\] = 0x([0-9a-f]{1,16})\b")
"""A level of a walk: its number, the index and the entry."""
_LINES: Final = {
    "trap": re.compile(r"\b(Data|Instruction|Prefetch) Abort Trap\. Syndrome=(?:0x)?([0-9a-f]{1,8})\b"),
    "unexpected": re.compile(r"\bUnexpected Trap: (.+)"),
    "walk": re.compile(r"\bWalking Hypervisor VA 0x([0-9a-f]{1,16}) on CPU\d+ via TTBR 0x([0-9a-f]{1,16})\b"),
    "entry": ENTRY,
    "pc": re.compile(r"\bPC: +([0-9a-f]{16})\b ?(\S*)"),
    "lr": re.compile(r"\bLR: +([0-9a-f]{16})\b"),
    "sp": re.compile(r"\bSP: +([0-9a-f]{16})\b"),
    "fp": re.compile(r"\bFP: +([0-9a-f]{16})\b"),
    "state": re.compile(r"\bCPSR: +([0-9a-f]{8,16}) MODE:64-bit EL2"),
    "general": re.compile(r"\bX([12]?\d): +([0-9a-f]{16})\b"),
    "system": re.compile(rf"\b({'|'.join(_REGISTER_NAMES)}): +(?:0x)?([0-9a-f]{{8,16}})\b"),
    "arm32": re.compile(r"----\[ Xen-\S+ +arm32\b"),
}
_TORN: Final = re.compile(
    r"\b[A-Z0-9]+_EL[12]: +(?!(?:0x)?[0-9a-f]{8,16}\b)|\b[0-3](?:TH|ST|ND|RD)\[(?!0x[0-9a-f]{1,4}\] = 0x[0-9a-f]{16}\b)"
    r"|Syndrome=(?!(?:0x)?[0-9a-f])|Walking Hypervisor VA (?!0x[0-9a-f]+ on CPU\d+ via TTBR 0x[0-9a-f]{16}\b)"
)
_CLASSES: Final = {
    "Data": EC.DATA_ABORT_SAME_EL,
    "Instruction": EC.INSTRUCTION_ABORT_SAME_EL,
    "Prefetch": EC.INSTRUCTION_ABORT_SAME_EL,
}
# MT_DEVICE_nGnRnE, MT_NORMAL_NC, MT_NORMAL_WT, MT_NORMAL_WB, MT_DEVICE_nGnRE and MT_NORMAL.
_MAIR: Final = MAIR(0).with_(Attr1=0x44, Attr2=0xAA, Attr3=0xEE, Attr4=0x04, Attr7=0xFF)
_TCR: Final = TCR_EL2(0).with_(T0SZ=64 - INPUT_BITS, PS=0b101, SH0=0b11, IRGN0=1, ORGN0=1)


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a trap in Xen itself come to."""
    if facts.all("arm32"):
        return Crash("Xen on 32-bit Arm", facts.line, facts.title, unread="its registers and tables are not read yet")
    stated, deduced = _stated(facts), Deduction({"TCR_EL2": int(_TCR), "MAIR_EL2": int(_MAIR)})
    deduced.say("TCR_EL2", f"TCR_EL2: T0SZ={_TCR.T0SZ}, TG0=4KB, DS=0, PS of 48 bits, as Xen sets it")
    deduced.say("MAIR_EL2", f"MAIR_EL2={int(_MAIR):#x}, as Xen sets it")
    state, address = facts.number("state"), facts.number("walk")
    if state is not None:
        deduced.values["cpsr"] = state
        deduced.say(
            "cpsr", "cpsr: as CPSR, for Xen interrupted itself: the trap was taken at the level that it came from"
        )
    syndrome = _syndrome(facts, stated.get("ESR_EL2"), deduced)
    if syndrome is None and address is None:
        return None
    if address is not None:
        deduced.agree("FAR_EL2", address, "the address that Xen walked", stated)
        deduced.agree("TTBR0_EL2", facts.number("walk", 1) or 0, "where Xen's walk began", stated)
    descriptors = {} if address is None else _placed({**deduced.values, **stated}, VA(address), facts, deduced)
    at = facts.first("pc")
    return Crash(
        system="Xen on AArch64",
        line=facts.line,
        title=facts.title,
        architecture="aarch64",
        stated=stated,
        deduced=deduced.derived,
        descriptors=descriptors,
        where="" if at is None else at[1] or at[0],
        pc="ELR_EL2",
        doubts=tuple(deduced.doubts),
        wanted=_wanted(syndrome, facts),
    )


GRAMMAR: Final = Grammar(
    signs=(" Abort Trap", "Walking Hypervisor VA ", "Unexpected Trap: "),
    begins=(("trap", "walk", "unexpected"),),
    lines=_LINES,
    # Whatever of it comes behind has registers of its own.
    ends=re.compile(r"\bXen (?:stack|call) trace|\bXen BUG at |\bPanic on CPU "),
    crash=crash,
    torn=_TORN,
)


def _syndrome(facts: CrashFacts, stated: int | None, deduced: Deduction) -> int | None:
    """Return the syndrome: the register's, or of the ISS that the trap's first line has; the two have to agree."""
    trap, iss = facts.first("trap"), facts.number("trap", 1)
    if trap is None or iss is None or ESR_ELx.ISS.of(iss) != iss:
        return stated
    whole = int(ESR_ELx(iss).with_(EC=_CLASSES[trap[0]], IL=1))
    if stated is None:
        deduced.assume("ESR_EL2", whole, "the class by the trap's name, and the syndrome that is printed with it")
        return whole
    if (whole ^ stated) & (ESR_ELx.EC.mask | ESR_ELx.ISS.mask):
        deduced.doubts.append(f"the trap is a {trap[0]} Abort with {iss:#x}, and ESR_EL2 has {stated:#x}")
    return stated


def _stated(facts: CrashFacts) -> dict[str, int]:
    general = {f"x{number}": int(value, 16) for number, value in facts.all("general")}
    special = {
        "x29": facts.number("fp"),
        "x30": facts.number("lr"),
        "sp": facts.number("sp"),
        "ELR_EL2": facts.number("pc"),
        "SPSR_EL2": facts.number("state"),
    }
    system = {name: int(value, 16) for name, value in facts.all("system")}
    return {**general, **{name: value for name, value in special.items() if value is not None}, **system}


def _placed(values: Mapping[str, int], address: VA, facts: CrashFacts, deduced: Deduction) -> Mapping[PA, int]:
    entries = [(int(level), int(index, 16), int(value, 16)) for level, index, value in facts.all("entry")]
    try:
        regime = regimes.regime_for(written_down(values), address, "el2")
    except Unavailable:
        return {}
    return followed_by_index(regime, address, entries, deduced)


def _wanted(syndrome: int | None, facts: CrashFacts) -> tuple[str, ...]:
    if syndrome is None:
        return ("the syndrome: the line `... Abort Trap. Syndrome=`, or ESR_EL2",)
    if decode(syndrome).fault is None or facts.all("walk"):
        return ()
    return ("the lines of the walk, `Walking Hypervisor VA ...` and those behind it",)
