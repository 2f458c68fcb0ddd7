"""What OP-TEE prints on AArch64 of an abort: its own, at S-EL1, or a trusted application's, at S-EL0.

    E/TC:0 0 Core data-abort at address 0x10 (translation fault)
    E/TC:0 0  esr 0x96000046  ttbr0 0x0e1d0000   ttbr1 0x00000000   cidr 0x0
    E/TC:0 0  cpu #0          cpsr 0x600003c4
    E/TC:0 0  x30 000000003e403250 elr 000000003e403250

`fsr` stands for `esr` in a build of 32 bits.  What it calls cpsr is the interrupted code's.

Source: OP-TEE, `core/arch/arm/kernel/abort.c` (__print_abort_info) and `core/mm/vm.c` (vm_print_mappings), of 2.x to
4.5; TCR_EL1, which is not printed, as `core/arch/arm/mm/core_mmu_lpae.c` sets it for addresses of 32 bits.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.registers.translation import MAIR, SCTLR, TCR_EL1
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar

INPUT_BITS: Final = 32
_LINES: Final = {
    "abort": re.compile(
        r"\b((?:Core|core|User mode|User TA|user TA) (?:data|prefetch|undef)-abort at address 0x([0-9a-f]{1,16}))\b"
    ),
    "state": re.compile(
        r"\besr 0x([0-9a-f]{8,16}) +ttbr0 0x([0-9a-f]{8,16}) +ttbr1 0x([0-9a-f]{8,16}) +cidr 0x([0-9a-fA-F]{1,8})\b"
    ),
    "saved": re.compile(r"\bcpu #\d+ +cpsr 0x([0-9a-f]{8})\b"),
    "general": re.compile(r"\bx([12]?\d|30) +([0-9a-f]{16})\b"),
    "elr": re.compile(r"\belr ([0-9a-f]{16})\b"),
    "region": re.compile(
        r"\bregion +(\d+): va 0x([0-9a-f]{8,16}) pa 0x([0-9a-f]{8,16}) size 0x([0-9a-f]+) flags (\S+)"
    ),
    "arm32": re.compile(r"\bfsr 0x[0-9a-f]{8} +ttbr0 "),
}
_TCR: Final = TCR_EL1(0).with_(T0SZ=64 - INPUT_BITS, TG0=0b00, SH0=0b11, ORGN0=1, IRGN0=1, EPD1=1, TG1=0b10, IPS=0b101)
# Device-nGnRE, Normal Write-Back, Device-nGnRnE and Normal, tagged where there are tags.
_MAIR: Final = MAIR(0).with_(Attr0=0x04, Attr1=0xFF, Attr2=0x00, Attr3=0xFF)
_SCTLR: Final = SCTLR(0).with_(M=1, C=1, I=1, WXN=1, SPAN=1)
_LEVEL: Final = SPSR(0).with_(M=0b0101, D=1, A=1, I=1, F=1)


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of an abort come to."""
    if facts.all("arm32"):
        why = "its registers and tables are not read yet"
        return Crash("OP-TEE on 32-bit Arm", facts.line, facts.title, unread=why)
    abort, address = facts.first("abort"), facts.number("abort", 1)
    if abort is None or address is None:
        return None
    deduced = Deduction({"cpsr": int(_LEVEL), "TCR_EL1": int(_TCR), "MAIR_EL1": int(_MAIR), "SCTLR_EL1": int(_SCTLR)})
    deduced.say("cpsr", "cpsr: EL1, where OP-TEE takes every abort; Secure state")
    deduced.say(
        "TCR_EL1", f"TCR_EL1: T0SZ={_TCR.T0SZ}, TG0=4KB, EPD1=1, as OP-TEE sets it where it is built for 32 bits"
    )
    deduced.say("MAIR_EL1", f"MAIR_EL1={int(_MAIR):#x}, as OP-TEE sets it")
    deduced.say("SCTLR_EL1", "SCTLR_EL1: M=1, C=1, I=1, WXN=1, SPAN=1, as OP-TEE sets it")
    stated = {f"x{number}": int(value, 16) for number, value in facts.all("general")}
    syndrome = facts.number("state")
    found = {
        "ESR_EL1": syndrome,
        "FAR_EL1": None if "undef-abort" in abort[0] else address,
        "TTBR0_EL1": facts.number("state", 1),
        "TTBR1_EL1": facts.number("state", 2),
        "CONTEXTIDR_EL1": facts.number("state", 3),
        "SPSR_EL1": facts.number("saved"),
        "ELR_EL1": facts.number("elr"),
    }
    stated |= {name: value for name, value in found.items() if value is not None}
    at = found["ELR_EL1"]
    return Crash(
        system="OP-TEE",
        line=facts.line,
        title=abort[0],
        architecture="aarch64",
        stated=stated,
        deduced=deduced.derived,
        where="" if at is None else f"{at:#x}",
        told=_region(facts, address),
        wanted=() if syndrome is not None else ("the line ` esr ...  ttbr0 ...`, right behind the first",),
    )


GRAMMAR: Final = Grammar(
    signs=("-abort at address 0x",),
    begins=(("abort",),),
    lines=_LINES,
    ends=re.compile(r"\bPanic '|\bpanicked with code\b"),
    crash=crash,
)


def _region(facts: CrashFacts, address: int) -> tuple[tuple[str, str], ...]:
    """Return in which of an application's regions the address lies, where they were printed."""
    if not facts.all("region"):
        return ()
    for number, va, pa, size, flags in facts.all("region"):
        offset = address - int(va, 16)
        if 0 <= offset < int(size, 16):
            return (("region", f"{number}, {flags}: from va 0x{va}, where pa 0x{pa} is; the tables may say otherwise"),)
    return (("region", "none of those that are printed has the address"),)
