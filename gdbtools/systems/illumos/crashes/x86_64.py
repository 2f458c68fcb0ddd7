"""What illumos prints on x86-64 when its kernel takes a trap that it has no answer to, and what Solaris printed.

    BAD TRAP: type=e (#pf Page fault) rp=fffffffffbc4a1d0 addr=10 occurred in module "unix" due to ...
    cr0: 80010031<pg,wp,ne,et,pe>  cr4: a0<pge,pae>
    cr2: 10cr3: 203000cr8: 0
            trp:                e err:                3 rip:           200662

Between the last three of the control registers there may be no blank.  Source: illumos, `usr/src/uts/i86pc/os/trap.c`
(die, showregs) and `usr/src/uts/intel/os/archdep.c` (dumpregs).
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar

_GENERAL: Final = ("rdi", "rsi", "rdx", "rcx", "rax", "rbx", "rbp", "rsp", *(f"r{n}" for n in range(8, 16)))
_OTHERS: Final = {"err": "error_code", "rip": "rip", "cs": "cs", "rfl": "eflags"}
_LINES: Final = {
    "trap": re.compile(r"\bBAD TRAP: type=([0-9a-f]{1,4}) \(#(\S+ .*?)\) rp="),
    "address": re.compile(r"\bBAD TRAP: .*?\baddr=(?:0x)?([0-9a-f]{1,16})\b"),
    "of arm": re.compile(r"\bBAD TRAP: .*?\b(esr)="),
    "cr0": re.compile(r"\bcr0: ([0-9a-f]{1,16})<"),
    "cr2": re.compile(r"\bcr2: ([0-9a-f]{1,16}?)\s*(?:cr3:|$)"),
    "cr3": re.compile(r"cr3: ([0-9a-f]{1,16}?)\s*(?:cr8:|$)"),
    "cr4": re.compile(r"\bcr4: ([0-9a-f]{1,16})<"),
    "general": re.compile(rf"\b({'|'.join((*_GENERAL, *_OTHERS))}): +([0-9a-f]{{1,16}})\b"),
}
_PAGE_FAULT: Final = 14


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a bad trap come to; None on another architecture."""
    if facts.all("of arm"):
        return None
    if facts.number("trap") != _PAGE_FAULT:
        return Crash("illumos on x86-64", facts.line, facts.title, unread="only page faults are")
    stated: dict[str, int] = {}
    for name, digits in facts.all("general"):
        stated.setdefault(_OTHERS.get(name, name), int(digits, 16))
    control = {name: facts.number(name) for name in ("cr0", "cr2", "cr3", "cr4")}
    stated |= {name: number for name, number in control.items() if number is not None}
    deduced = Deduction()
    address = facts.number("address")
    if address is not None and stated.get("cr2", address) != address:
        deduced.doubts.append(f"the fault is of {address:#x}, and cr2 has {stated['cr2']:#x}")
    elif address is not None and "cr2" not in stated:
        deduced.assume("cr2", address, "the address that the log names")
    wanted = "the tables that cr3 leads to, which illumos does not print: a dump"
    return Crash(
        system="illumos on x86-64",
        line=facts.line,
        title=facts.title,
        architecture="x86_64",
        stated=stated,
        deduced=deduced.derived,
        where=f"{stated['rip']:#x}" if "rip" in stated else "",
        doubts=tuple(deduced.doubts),
        wanted=(wanted,) if "error_code" in stated else ("the lines of registers, from `cr0: ...` on", wanted),
    )


GRAMMAR: Final = Grammar(
    signs=("BAD TRAP: type=",),
    begins=(("trap",),),
    lines=_LINES,
    ends=re.compile(r"^dumping to "),
    crash=crash,
)
