"""What OSv prints on x86-64 when its own code faults: an address, and registers; the error code is not among them.

    page fault outside application, addr: 0x0000200085790000
    [registers]
    RIP: 0x000000004037efbf <sched::thread::complete()+143>
    RFL: 0x0000000000010202  CS:  0x0000000000000008  SS:  0x0000000000000010

Source: OSv, `core/mmu.cc` (vm_sigsegv) and `arch/x64/dump.cc` (dump_registers), of 0.5x.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Grammar

_GENERAL: Final = ("RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "RSP", "R8", "R9", "R10", "R11", "R12")
"""R13 to R15 are printed with the values of R9 to R11."""
_LINES: Final = {
    "cr2": re.compile(r"\bpage fault outside application, addr:? (?:0x)?([0-9a-f]{1,16})\b"),
    "rip": re.compile(r"\bRIP: 0x([0-9a-f]{16})\b"),
    "at": re.compile(r"\bRIP: 0x[0-9a-f]{16} <(\S.*?)>"),
    "eflags": re.compile(r"\bRFL: 0x([0-9a-f]{16})\b"),
    "cs": re.compile(r"\bCS: +0x([0-9a-f]{16})\b"),
    "general": re.compile(rf"\b({'|'.join(_GENERAL)}): +0x([0-9a-f]{{16}})\b"),
}


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a fault of OSv's own come to; None on another architecture."""
    if not facts.all("rip"):
        return None
    stated = {name.lower(): int(digits, 16) for name, digits in facts.all("general")}
    numbers = {name: facts.number(name) for name in ("cr2", "rip", "eflags", "cs")}
    at = facts.first("at")
    return Crash(
        system="OSv on x86-64",
        line=facts.line,
        title=facts.title,
        architecture="x86_64",
        stated=stated | {name: number for name, number in numbers.items() if number is not None},
        where="" if at is None else at[0],
        wanted=("the error code, CR3 and the tables, none of which OSv prints: `mmu capture FILE` in GDB, or a dump",),
    )


GRAMMAR: Final = Grammar(
    signs=("page fault outside application, addr",),
    begins=(("cr2",),),
    lines=_LINES,
    ends=re.compile(r"^\[backtrace\]|^Aborted\b"),
    crash=crash,
)
