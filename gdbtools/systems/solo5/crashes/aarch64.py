"""What Solo5 prints on AArch64 when a unikernel traps.

    Solo5: Trap: EL1 Synchronous Abort caught
    Data Abort Address: 0x0000000000000010
             ESR    : 0x0000000096000045
             PC     : 0x0000000000104a2c

The address is printed of data aborts only.  Source: Solo5, `bindings/cpu_aarch64.c` (cpu_trap_handler,
dump_registers), of 0.4 to 0.9.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Grammar
from gdbtools.systems.crashes import aarch64

_LINES: Final = {
    "trap": re.compile(r"\bSolo5: Trap: EL(\d) (\S.*) caught"),
    "far": re.compile(r"\bData Abort Address: 0x([0-9a-f]{16})\b"),
    "esr": re.compile(r"\bESR +: 0x([0-9a-f]{16})\b"),
    "elr": re.compile(r"\bPC +: 0x([0-9a-f]{16})\b"),
    "lr": re.compile(r"\bLR +: 0x([0-9a-f]{16})\b"),
    "state": re.compile(r"\bPSTATE +: 0x([0-9a-f]{16})\b"),
    "row": re.compile(r"\bx(\d\d) ~ x\d\d:((?: 0x[0-9a-f]{16}){1,4})"),
}


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a trap come to."""
    return aarch64.of_registers(facts, "Solo5", 1, general=aarch64.in_rows(facts))


GRAMMAR: Final = Grammar(
    signs=("Solo5: Trap: EL",),
    begins=(("trap",),),
    lines=_LINES,
    ends=re.compile(r"\bSolo5: (?:PANIC|solo5_abort)"),
    crash=crash,
)
