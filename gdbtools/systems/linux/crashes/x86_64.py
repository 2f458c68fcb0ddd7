"""What Linux prints on x86-64 when it dies of a page fault: `BUG: ... address: A`, `#PF: ...`, and one entry a level.

    #PF: error_code(0x0002) - not-present page
    PGD 29a1067 P4D 2996067 PUD 299c067 PMD 0
    CR2: 0000000000000010 CR3: 00000000028b4000 CR4: 0000000000751eb0

Before 5.1 the first line ends in `at A`, and `Oops: H [#N]` alone has the error code.  `BAD` stands where a table could
not be read, behind the entry that leads to it.

Source: Linux, `arch/x86/mm/fault.c` (show_fault_oops, dump_pagetable) and `arch/x86/kernel/process_64.c` (__show_regs),
of 3.x to 6.12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
    "bug": re.compile(
        r"\bBUG: ((?:unable to handle|kernel NULL pointer).*?)(?:,? (?:for )?address:| at) ([0-9a-f]{8,16})\b"
    ),
    "code": re.compile(r"#PF: error_code\(0x([0-9a-f]{1,8})\)"),
    "oops": re.compile(r"\bOops: ([0-9a-f]{4}) \[#\d+\]"),
    "tables": re.compile(r"\bPGD ([0-9a-f]{1,16})\b(.*)"),
    "bad": re.compile(r"\bPGD (?:.* )?BAD\b"),
    "rip": re.compile(r"\bRIP: ([0-9a-f]{4}):(\S+)"),
    "ip": re.compile(r"^IP: (?:\[<[0-9a-f]+>\] )?(\S+)"),
    # Of 32 bits, which begins with the same words.
    "i386": re.compile(r"\bEIP: |\*pd(?:e|pt) = [0-9a-f]"),
    "eflags": re.compile(r"\bEFLAGS: ([0-9a-f]{8,16})\b"),
    "general": re.compile(rf"\b({'|'.join(_GENERAL)}): ?(?:[0-9a-f]{{4}}:)?([0-9a-f]{{16}})\b"),
    "control": re.compile(r"\b(CR[0234]): ([0-9a-f]{8,16})\b"),
    "pkru": re.compile(r"\bPKRU: ([0-9a-f]{1,8})\b"),
}
_ENTRY: Final = re.compile(r"\b(P4D|PUD|PMD|PTE) ([0-9a-f]{1,16})\b")
_EFER: Final = EFER(0).with_(SCE=1, LME=1, LMA=1, NXE=1)


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a page fault come to; None for a BUG that is none."""
    if facts.all("i386"):
        return Crash("Linux on 32-bit x86", facts.line, facts.title, unread="its registers and tables are not read yet")
    code = facts.number("code" if facts.all("code") else "oops")
    address = facts.number("bug", 1)
    if code is None and not facts.all("tables"):
        return None
    deduced = Deduction({"efer": int(_EFER)})
    deduced.say("efer", f"efer={int(_EFER):#x}: a 64-bit kernel with execute-disable")
    stated = _stated(facts, code, address, deduced)
    values = {**deduced.values, **stated}
    descriptors = {} if "cr3" not in stated or address is None else _placed(values, VA(address), facts, deduced)
    at, at_first = facts.first("rip"), facts.first("ip")
    return Crash(
        system="Linux on x86-64",
        line=facts.line,
        title=facts.title,
        architecture="x86_64",
        stated=stated,
        deduced=deduced.derived,
        descriptors=descriptors,
        where=at_first[0] if at_first else "" if at is None else at[1],
        doubts=tuple(deduced.doubts),
        wanted=tuple(_wanted(facts, code, stated)),
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
    # The line CS has the selector of the code that prints it; that of the fault is before its rip.
    others = {"cs": facts.number("rip"), "pkru": facts.number("pkru"), "eflags": facts.number("eflags")}
    for name, number in {"error_code": code, **others}.items():
        if number is not None:
            stated[name] = number
    if address is not None and stated.get("cr2", address) != address:
        deduced.doubts.append(f"the fault is of {address:#x}, and CR2 has {stated['cr2']:#x}")
    elif address is not None and "cr2" not in stated:
        deduced.assume("cr2", address, "the address that the log names")
    return stated


def _wanted(facts: CrashFacts, code: int | None, stated: Mapping[str, int]) -> Sequence[str]:
    """Return what else an answer would need, and which line has it."""
    wanted = [] if code is not None else ["the error code: the line `#PF: error_code(...)`"]
    wanted += [] if "cr0" in stated else ["the line `CS: ... CR0: ...`"]
    wanted += [] if "cr3" in stated and "cr4" in stated else ["the line `CR2: ... CR3: ... CR4: ...`"]
    if facts.all("bad"):
        named = _named(facts)
        last = "CR3"
        for name, value in named.items():
            last = f"{name} {value:#x}"
        wanted.append(f"a dump: the kernel could not read the table that {last} leads to, and printed BAD")
    elif not facts.all("tables"):
        wanted.append("the line `PGD ... P4D ...`")
    return wanted


def _named(facts: CrashFacts) -> dict[str, int]:
    """Return the entries that were printed, by Linux's names for their levels, root first."""
    said = facts.first("tables")
    if said is None:
        return {}
    named = {"PGD": int(said[0], 16)}
    for name, value in _ENTRY.findall(said[1]):
        named.setdefault(name, int(value, 16))
    return named


def _placed(values: Mapping[str, int], address: VA, facts: CrashFacts, deduced: Deduction) -> Mapping[PA, int]:
    """Return where the entries lie that were printed; without five levels PGD and P4D are one entry."""
    named = _named(facts)
    if not CR4(values.get("cr4", 0)).LA57 and "P4D" in named and named.pop("PGD") != named["P4D"]:
        deduced.doubts.append("PGD and P4D are one entry without LA57, and have two values")
        return {}
    try:
        regime = regimes.regime(written_down(values))
    except GdbtoolsError:
        return {}
    placed, left = followed(regime, address, [*named.values()])
    if left:
        deduced.doubts.append("an entry is printed behind the one that ends the walk")
    return placed
