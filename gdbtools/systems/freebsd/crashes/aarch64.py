"""What FreeBSD prints on AArch64 when its kernel faults: every register, one a line, without 0x.

    Fatal data abort:
      x0: ffff00008e1f9000
     elr: ffff0000003b1c44
    spsr:         80000045
     far: fffffffffffffff8
     esr:         96000046
    panic: vm_fault failed: ffff0000003b1c44

Registers of which a symbol is known have it behind them since 14.

Source: FreeBSD, `sys/arm64/arm64/trap.c` (data_abort, print_registers, do_serror, unhandled_exception), of 11 to 14.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Grammar
from gdbtools.systems.crashes import aarch64

_LINES: Final = {
    "fatal": re.compile(r"\bFatal (?:data|instruction) abort:"),
    # What else dies prints the registers first.
    "first": re.compile(r"^x0: +([0-9a-f]{1,16})\b(?! +x)"),
    "general": re.compile(r"^x([12]?\d): +([0-9a-f]{1,16})\b"),
    "sp": re.compile(r"^sp: +([0-9a-f]{1,16})\b"),
    "lr": re.compile(r"^lr: +([0-9a-f]{1,16})\b"),
    "elr": re.compile(r"^elr: +([0-9a-f]{1,16})\b"),
    "at": re.compile(r"^elr: +[0-9a-f]{1,16} \((\S.*?)\)$"),
    "state": re.compile(r"^spsr: +([0-9a-f]{1,16})\b"),
    "far": re.compile(r"^far: +([0-9a-f]{1,16})\b"),
    "esr": re.compile(r"(?:^esr: +|\bpanic: .*? esr_el1 )([0-9a-f]{8,16})\b"),
}


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a kernel's fault come to."""
    return aarch64.of_registers(facts, "FreeBSD", 1, general=aarch64.numbered(facts))


GRAMMAR: Final = Grammar(
    signs=("Fatal data abort:", "Fatal instruction abort:", "x0: "),
    begins=(("fatal", "first"),),
    lines=_LINES,
    ends=re.compile(r"^panic: "),
    crash=crash,
)
