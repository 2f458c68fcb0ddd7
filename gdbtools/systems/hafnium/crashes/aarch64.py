"""What Hafnium prints when it faults itself, at EL2, and when a guest of its faults in the second stage.

    ERROR: Data abort: pc=0x6001ac, esr=0x96000045, ec=0x25, far=0x10
    WARNING: Stage-2 page fault: pc=0x1f9ce23800, vmid=0x8001, vcpu=0, vaddr=0x0, ipaddr=0x0, mode=0x2 0x7c

Source: Hafnium, `src/arch/aarch64/hypervisor/handler.c` (sync_current_exception_noreturn) and `src/cpu.c`
(vcpu_handle_page_fault), of 2.2 to 2.12.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Grammar
from gdbtools.systems.crashes import aarch64

_LINES: Final = {
    "abort": re.compile(r"\b(?:Data abort|Unknown current sync exception): pc=0x[0-9a-f]{1,16}, esr=0x"),
    "guests": re.compile(r"\bStage-2 page fault: pc=(?:0x)?[0-9a-f]{1,16}, vmid="),
    "elr": re.compile(r"\bpc=0x([0-9a-f]{1,16}), esr="),
    "esr": re.compile(r"\besr=0x([0-9a-f]{1,16}), ec=0x"),
    "far": re.compile(r"\bfar=0x([0-9a-f]{1,16})\b"),
}


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the line of an abort comes to."""
    if facts.all("guests"):
        return Crash(
            "Hafnium on AArch64", facts.line, facts.title, unread="a fault of a guest is printed without its syndrome"
        )
    return aarch64.of_registers(facts, "Hafnium", 2)


GRAMMAR: Final = Grammar(
    signs=("Data abort: pc=", "Unknown current sync exception: pc=", "Stage-2 page fault: pc="),
    begins=(("abort",), ("guests",)),
    lines=_LINES,
    ends=re.compile(r"^Panic: "),
    crash=crash,
)
