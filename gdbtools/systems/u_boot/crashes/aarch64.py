"""What U-Boot prints on AArch64 of an exception that it has no use for: the syndrome, and registers.

    "Synchronous Abort" handler, esr 0x96000004, far 0x10000000000000
    elr: 000000000009fb74 lr : 000000000009fac4 (reloc)
    elr: 0000000047756b74 lr : 0000000047756ac4

`(reloc)` are addresses in U-Boot's own file, before it moved itself to the end of memory; the others are where it ran.
`far` is printed since 2023.07.

Source: U-Boot, `arch/arm/lib/interrupts_64.c` (show_regs, do_sync and its sisters), of 2016 to 2025.01; on 32 bits,
`arch/arm/lib/interrupts.c`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar
from gdbtools.systems.crashes import aarch64

_LINES: Final = {
    "handler": re.compile(r'"(Synchronous Abort|Error|Irq|Fiq)" handler, esr 0x'),
    "esr": re.compile(r'" handler, esr 0x([0-9a-f]{1,16})\b'),
    "far": re.compile(r'" handler, esr \w+, far 0x([0-9a-f]{1,16})\b'),
    # In capitals before 2018.
    "elr": re.compile(r"^(?:elr|ELR): +([0-9a-f]{1,16})(?: lr : [0-9a-f]{16})?$"),
    "lr": re.compile(r"^(?:elr: [0-9a-f]{16} lr :|LR:) +([0-9a-f]{1,16})$"),
    "in file": re.compile(r"^elr: ([0-9a-f]{16}) lr : [0-9a-f]{16} \(reloc\)"),
    "general": re.compile(r"\bx([12]?\d) ?: ([0-9a-f]{16})\b"),
    "arm32": re.compile(r"^((?:data|prefetch) abort|undefined instruction)$"),
    "pc of arm32": re.compile(r"^pc : \[<[0-9a-f]{8}>\]"),
}
_INTERRUPTS: Final = ("Irq", "Fiq")
_NO_ADDRESS: Final = "the fault address: U-Boot prints it since 2023.07"


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of an exception come to."""
    handler = facts.first("handler")
    if handler is None:
        why = "its registers and tables are not read yet"
        is_crash = facts.all("pc of arm32")
        return Crash("U-Boot on 32-bit Arm", facts.line, facts.title, unread=why) if is_crash else None
    if handler[0] in _INTERRUPTS:
        return Crash("U-Boot on AArch64", facts.line, facts.title, unread=aarch64.INTERRUPT)
    deduced = Deduction()
    deduced.say("", "the exception was taken to EL1: U-Boot may run at EL2 or EL3, and does not say so")
    found = aarch64.of_registers(facts, "U-Boot", 1, deduced, aarch64.numbered(facts))
    if found is None:
        return None
    # Where the fetch itself was refused, the code is none of U-Boot's.
    in_file = facts.number("in file") if facts.number("elr") != facts.number("far") else None
    told = () if in_file is None else (("in its file", f"the code is at {in_file:#x}: it moved itself after that"),)
    has_address = facts.all("far") or not found.wanted
    return replace(found, told=told, wanted=found.wanted if has_address else (_NO_ADDRESS, *found.wanted))


GRAMMAR: Final = Grammar(
    signs=('" handler, esr 0x', "data abort", "prefetch abort", "undefined instruction"),
    begins=(("handler",), ("arm32",)),
    lines=_LINES,
    ends=re.compile(r"^Resetting CPU|^### ERROR ### Please RESET|^resetting \.\.\."),
    crash=crash,
)
