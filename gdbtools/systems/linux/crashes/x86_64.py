"""What Linux prints on x86-64 when it dies of a page fault: `BUG: ... address: A`, `#PF: ...`, and one entry a level.

    #PF: error_code(0x0002) - not-present page
    PGD 29a1067 P4D 2996067 PUD 299c067 PMD 0
    CR2: 0000000000000010 CR3: 00000000028b4000 CR4: 0000000000751eb0

Source: Linux, `arch/x86/mm/fault.c` (show_fault_oops, dump_pagetable) and `arch/x86/kernel/process_64.c` (__show_regs),
of 5.x to 6.12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import written_down
from gdbtools.arch.x86_64.registers.control import CR4, EFER
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.errors import GdbtoolsError
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar, followed

_GENERAL: Final = (
    "RSP", "RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "R08", "R09", "R10", "R11", "R12", "R13", "R14", "R15",
)  # fmt: skip
_OTHERWISE: Final = {"R08": "r8", "R09": "r9"}
_LINES: Final = {
    "bug": re.compile(r"\bBUG: (.*?),? (?:for )?address: ([0-9a-f]{8,16})\b"),
    "code": re.compile(r"#PF: error_code\(0x([0-9a-f]{1,8})\)"),
    "tables": re.compile(r"\bPGD ([0-9a-f]{1,16})\b(.*)"),
    "rip": re.compile(r"\bRIP: ([0-9a-f]{4}):(\S+)"),
    "eflags": re.compile(r"\bEFLAGS: ([0-9a-f]{8,16})\b"),
    "general": re.compile(rf"\b({'|'.join(_GENERAL)}): ?(?:[0-9a-f]{{4}}:)?([0-9a-f]{{16}})\b"),
    "control": re.compile(r"\b(CR[0234]): ([0-9a-f]{8,16})\b"),
    "pkru": re.compile(r"\bPKRU: ([0-9a-f]{1,8})\b"),
}
_ENTRY: Final = re.compile(r"\b(P4D|PUD|PMD|PTE) ([0-9a-f]{1,16})\b")
_EFER: Final = EFER(0).with_(SCE=1, LME=1, LMA=1, NXE=1)


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a page fault come to; None for a BUG that is none."""
    code, address = facts.number("code"), facts.number("bug", 1)
    if code is None and not facts.all("tables"):
        return None
    deduced = Deduction({"efer": int(_EFER)})
    deduced.say("efer", f"efer={int(_EFER):#x}: a 64-bit kernel with execute-disable")
    stated = _stated(facts, code, address, deduced)
    values = {**deduced.values, **stated}
    descriptors = {} if "cr3" not in stated or address is None else _placed(values, VA(address), facts, deduced)
    at = facts.first("rip")
    wanted = [] if code is not None else ["the error code: the line `#PF: error_code(...)`"]
    wanted += [] if "cr3" in stated else ["the line `CR2: ... CR3: ... CR4: ...`"]
    wanted += [] if facts.all("tables") else ["the line `PGD ... P4D ...`"]
    return Crash(
        system="Linux on x86-64",
        line=facts.line,
        title=facts.title,
        architecture="x86_64",
        stated=stated,
        deduced=deduced.derived,
        descriptors=descriptors,
        where="" if at is None else at[1],
        doubts=tuple(deduced.doubts),
        wanted=tuple(wanted),
    )


GRAMMAR: Final = Grammar(
    signs=("BUG: unable to handle", "BUG: kernel NULL pointer"),
    begins=(("bug",),),
    lines=_LINES,
    # The registers behind it are those of the system call's caller.
    ends=re.compile(r"</TASK>|---\[ end (?:trace|Kernel panic)"),
    crash=crash,
)


def _stated(facts: CrashFacts, code: int | None, address: int | None, deduced: Deduction) -> dict[str, int]:
    """Return the registers of the crash: the first of each name, for a trace may show others behind them."""
    stated: dict[str, int] = {}
    for name, value in (*facts.all("general"), *facts.all("control")):
        stated.setdefault(_OTHERWISE.get(name, name.lower()), int(value, 16))
    for name, number in (("error_code", code), ("pkru", facts.number("pkru")), ("eflags", facts.number("eflags"))):
        if number is not None:
            stated[name] = number
    if address is not None and stated.get("cr2", address) != address:
        deduced.doubts.append(f"the fault is of {address:#x}, and CR2 has {stated['cr2']:#x}")
    elif address is not None and "cr2" not in stated:
        deduced.assume("cr2", address, "the address that the log names")
    return stated


def _placed(values: Mapping[str, int], address: VA, facts: CrashFacts, deduced: Deduction) -> Mapping[PA, int]:
    """Return where the entries lie that were printed; without five levels PGD and P4D are one entry."""
    said = facts.first("tables")
    if said is None:
        return {}
    named = {"PGD": int(said[0], 16)}
    for name, value in _ENTRY.findall(said[1]):
        named.setdefault(name, int(value, 16))
    if not CR4(values.get("cr4", 0)).LA57 and "P4D" in named and named.pop("PGD") != named["P4D"]:
        deduced.doubts.append("PGD and P4D are one entry without LA57, and have two values")
    try:
        regime = regimes.regime(written_down(values))
    except GdbtoolsError:
        return {}
    placed, left = followed(regime, address, [*named.values()])
    if left:
        deduced.doubts.append("an entry is printed behind the one that ends the walk")
    return placed
