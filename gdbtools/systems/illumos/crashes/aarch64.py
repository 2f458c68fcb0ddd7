"""What illumos prints on AArch64 when its kernel takes a trap that it has no answer to.

    panic[cpu0]/thread=fffffffffbc2f9c0: BAD TRAP: type=25 (#da Data abort) rp=... addr=10 esr=96000045

Source: illumos, `usr/src/uts/armv8/ml/trap.c` of its port to Arm (die).
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Grammar
from gdbtools.systems.crashes import aarch64

_LINES: Final = {
    "trap": re.compile(r"\bBAD TRAP: type=([0-9a-f]{1,4}) \(#(\S+ .*?)\) rp=[0-9a-f]{1,16}"),
    "far": re.compile(r"\bBAD TRAP: .*?\baddr=(?:0x)?([0-9a-f]{1,16})\b"),
    "esr": re.compile(r"\bBAD TRAP: .*?\besr=(?:0x)?([0-9a-f]{1,16})\b"),
}


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the line of a bad trap comes to; None on another architecture."""
    return aarch64.of_registers(facts, "illumos", 1)


GRAMMAR: Final = Grammar(
    signs=("BAD TRAP: type=",),
    begins=(("trap",),),
    lines=_LINES,
    ends=re.compile(r"^dumping to "),
    crash=crash,
)
