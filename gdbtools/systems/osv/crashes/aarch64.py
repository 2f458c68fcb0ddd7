"""What OSv prints on AArch64 when its own code faults: an address, and registers.

    page fault outside application, addr: 0x0000100000000000
    [registers]
    PC: 0x000000004047a070 <main+0>
    X30: 0x00000000401e4ac4 SP:  0x00002000001000e0 ESR: 0x000000009600014b
    PSTATE: 0x0000000080000345

The address may be that of the page.  Source: OSv, `core/mmu.cc` (vm_sigsegv) and `arch/aarch64/dump.cc`
(dump_registers), of 0.5x.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Grammar
from gdbtools.systems.crashes import aarch64

_LINES: Final = {
    "far": re.compile(r"\bpage fault outside application, addr:? (?:0x)?([0-9a-f]{1,16})\b"),
    "elr": re.compile(r"\bPC: 0x([0-9a-f]{16})\b"),
    "at": re.compile(r"\bPC: 0x[0-9a-f]{16} <(\S.*?)>"),
    "general": re.compile(r"\bX(\d\d): 0x([0-9a-f]{16})\b"),
    "sp": re.compile(r"\bSP: +0x([0-9a-f]{16})\b"),
    "esr": re.compile(r"\bESR: 0x([0-9a-f]{16})\b"),
    "state": re.compile(r"\bPSTATE: 0x([0-9a-f]{16})\b"),
}


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a fault of OSv's own come to."""
    return aarch64.of_registers(facts, "OSv", 1, general=aarch64.numbered(facts))


GRAMMAR: Final = Grammar(
    signs=("page fault outside application, addr",),
    begins=(("far",),),
    lines=_LINES,
    ends=re.compile(r"^\[backtrace\]|^Aborted\b"),
    crash=crash,
)
