"""What m1n1 prints when it takes an exception of its own.

    Exception: SYNC
    Running in EL2
      x0-x3: 0000000000000000 0000000000000001 0000000000000002 0000000000000003
    PC:       0x10000a1b2c (rel: 0x1b2c)
    SPSR:     0x600003c9
    FAR:      0x10
    ESR:      0x96000045 (data abort (current))

Older ones have SPSR_EL2 and ESR_EL2, and no FAR.  Source: m1n1, `src/exception.c` (print_regs, exc_sync).
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Grammar
from gdbtools.systems.crashes import aarch64

_LINES: Final = {
    "exception": re.compile(r"\bException: (SYNC|SError)"),
    "level": re.compile(r"\bRunning in EL([1-3])"),
    "row": re.compile(r"\bx([12]?\d)-x\d{1,2}:((?: [0-9a-f]{16}){3,4})"),
    "elr": re.compile(r"\bPC: +0x([0-9a-f]{1,16})\b"),
    "at": re.compile(r"\bPC: +0x[0-9a-f]{1,16} \(rel: (0x[0-9a-f]{1,16})\)"),
    "sp": re.compile(r"\bSP: +0x([0-9a-f]{1,16})\b"),
    "state": re.compile(r"\bSPSR(?:_EL[12])?: +0x([0-9a-f]{1,16})\b"),
    "far": re.compile(r"\bFAR(?:_EL[12])?: +0x([0-9a-f]{1,16})\b"),
    "esr": re.compile(r"\bESR(?:_EL[12])?: +0x([0-9a-f]{1,16}) \("),
}


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of an exception come to."""
    return aarch64.of_registers(facts, "m1n1", facts.number("level") or 2, general=aarch64.in_rows(facts))


GRAMMAR: Final = Grammar(
    signs=("Exception: SYNC", "Exception: SError"),
    begins=(("exception",),),
    lines=_LINES,
    ends=re.compile(r"\bRecovering from exception|\bL2C_ERR_INF: "),
    crash=crash,
)
