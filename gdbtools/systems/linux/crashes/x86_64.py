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
from gdbtools.arch.x86_64.registers.control import CR4, EFER, PAGE
from gdbtools.arch.x86_64.syndrome.page_fault import PageFaultCode
from gdbtools.arch.x86_64.tables.geometry import PHYSICAL_BITS
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.errors import GdbtoolsError
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar, followed, mixed, slide
from gdbtools.systems.linux.crashes.lines import (
    AFTER,
    LINE_OF_CPU,
    LINE_OF_KASAN,
    LINE_OF_RELEASE,
    LINE_OF_STACK,
    claims,
)

_GENERAL: Final = (
    "RSP", "RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "R08", "R09", "R10", "R11", "R12", "R13", "R14", "R15",
)  # fmt: skip
_OTHERWISE: Final = {"R08": "r8", "R09": "r9"}
_TRAPS: Final[Mapping[str, str]] = {
    "general protection fault": "general protection fault (#GP), no page fault: mostly a non-canonical address",
    "stack segment": "stack-segment fault (#SS), no page fault: mostly a non-canonical address",
    "double fault": "double fault (#DF): an exception as the processor entered the handler of another",
    r"kernel stack overflow \(double-fault\)": "double fault (#DF): the handler's own stack could not be written",
    "stack guard page": "double fault (#DF): the handler's own stack could not be written",
}
"""Exceptions that are no page faults, as Linux names them, and what they are."""
_LINES: Final = {
    "bug": re.compile(
        r"\bBUG: ((?:unable to handle|kernel NULL pointer).*?)(?:,? (?:for )?address:| at) ([0-9a-f]{8,16})\b"
    ),
    "code": re.compile(r"#PF: error_code\(0x([0-9a-f]{1,8})\)"),
    "oops": re.compile(r"\bOops: ([0-9a-f]{4}) \[#\d+\]"),
    "tables": re.compile(r"\bPGD ([0-9a-f]{1,16})\b(.*)"),
    "trap": re.compile(
        rf"\b({'|'.join(_TRAPS)})(?:, (?:probably|maybe) for (?:non-canonical )?address 0x([0-9a-f]{{1,16}}))?"
        r": [0-9a-f]{4} \[#\d+\]"
    ),
    "kasan": LINE_OF_KASAN,
    "stack": LINE_OF_STACK,
    "code bytes": re.compile(r"\bCode: (?:RIP: 0x\S+ )?((?:[0-9a-f]{2} )*)<([0-9a-f]{2})>((?: [0-9a-f]{2})*)"),
    "more tables": re.compile(r"^((?:(?:P4D|PUD|PMD|PTE) [0-9a-f]{1,16}\b ?)+)"),
    "cpu": LINE_OF_CPU,
    "release": LINE_OF_RELEASE,
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
_ADDRESS: Final = (1 << PHYSICAL_BITS) - PAGE
_NARROWEST: Final = 36
"""No processor of 64 bits has narrower physical addresses."""
_APART: Final = 4
"""By how many bits the highest of one entry has to be above those of all others."""
_SIGNS: Final = ("general protection fault", "stack segment", "double fault", "(double-fault)", "stack guard page")
_DIGITS: Final = 16
"""Of an address of 64 bits."""
_FAULTS: Final = re.compile(r"BUG: ")
_TORN: Final = re.compile(
    r"#PF: error_code\((?!0x[0-9a-f]{1,8}\))|\bCR[0234]: (?![0-9a-f]{8,16}\b)|\bRIP: (?![0-9a-f]{4}:)"
    r"|\bEFLAGS: (?![0-9a-f]{8,16}\b)|^(?:PGD|P4D|PUD|PMD|PTE) (?![0-9a-f]{1,16}\b|BAD\b)"
)
_ENTRY: Final = re.compile(r"\b(P4D|PUD|PMD|PTE) ([0-9a-f]{1,16})\b")
_EFER: Final = EFER(0).with_(SCE=1, LME=1, LMA=1, NXE=1)


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a page fault come to; None for a BUG that is none."""
    said = facts.first("bug")
    if facts.all("i386") or (said is not None and len(said[1]) < _DIGITS):
        return Crash("Linux on 32-bit x86", facts.line, facts.title, unread="its registers and tables are not read yet")
    code = facts.number("code" if facts.all("code") else "oops")
    trap = facts.first("trap")
    if trap is not None and code is None and not facts.all("tables"):
        return _of_trap(facts, trap)
    if code is None and not facts.all("tables") and not _FAULTS.match(facts.title):
        # The words alone, in a sentence of somebody's.
        return None
    address = facts.number("bug", 1)
    deduced = Deduction({"efer": int(_EFER)})
    deduced.say("efer", f"efer={int(_EFER):#x}: a 64-bit kernel with execute-disable")
    stated = _stated(facts, code, address, deduced)
    address = stated.get("cr2") if address is None else address
    _assume_width(code, _named(facts), stated, deduced)
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
        pc="rip",
        address=None if address is None else VA(address),
        code=_code(facts, 1, 2),
        code_before=_code(facts, 0),
        width_register="maxphyaddr",
        claims=claims(facts),
        release=(facts.first("release") or ("",))[0],
        slide=slide(facts),
        doubts=(*deduced.doubts, *mixed(facts)),
        wanted=tuple(_wanted(facts, code, {**deduced.values, **stated})),
    )


def _of_trap(facts: CrashFacts, trap: Sequence[str]) -> Crash:
    """Return what the lines of an exception come to that is no page fault: its registers, and what it may be of."""
    deduced = Deduction()
    stated = _stated(facts, None, None, deduced)
    what = next(said for pattern, said in _TRAPS.items() if re.fullmatch(pattern, trap[0]))
    if "rsp" not in stated:
        return Crash("Linux on x86-64", facts.line, facts.title, unread=f"{what}; none of its registers is there")
    at, address = facts.first("rip"), facts.number("trap", 1)
    if address is None and "double" in what:
        # Of the first of the two, where that was a page fault.
        address = stated.get("cr2")
    return Crash(
        system="Linux on x86-64",
        line=facts.line,
        title=facts.title,
        architecture="x86_64",
        stated=stated,
        where="" if at is None else at[1],
        pc="rip",
        address=None if address is None else VA(address),
        code=_code(facts, 1, 2),
        code_before=_code(facts, 0),
        exception=what,
        claims=claims(facts),
        release=(facts.first("release") or ("",))[0],
        slide=slide(facts),
        doubts=tuple(mixed(facts)),
    )


GRAMMAR: Final = Grammar(
    signs=(*_SIGNS, "BUG: unable to handle", "BUG: kernel NULL pointer", "#PF: error_code", "Oops: "),
    # A text may begin in the middle of one.
    begins=(("bug", "code", "trap", "oops"),),
    lines=_LINES,
    # The registers behind it are those of the system call's caller.
    ends=re.compile(r"</TASK>|---\[ end (?:trace|Kernel panic)"),
    crash=crash,
    torn=_TORN,
    after=AFTER,
)


def _code(facts: CrashFacts, *groups: int) -> bytes:
    """Return the bytes from the marked one on, or those before it; those of a system call's caller come later."""
    said = facts.first("code bytes")
    return b"" if said is None else bytes.fromhex("".join(said[group] for group in groups))


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


def _assume_width(code: int | None, named: Mapping[str, int], stated: Mapping[str, int], deduced: Deduction) -> None:
    """Take the width of physical addresses for one that reserves a bit, where the fault is of a reserved bit.

    That is the highest of one entry's address, where it stands apart from those of all others and of the root.
    """
    if code is None or not PageFaultCode(code).RSVD or not named:
        return
    bits = {name: (value & _ADDRESS).bit_length() for name, value in {**named, "cr3": stated.get("cr3", 0)}.items()}
    name = max(bits, key=bits.__getitem__)
    highest, others = bits[name], [each for other, each in bits.items() if named.get(other) != named.get(name)]
    if name == "cr3" or highest <= _NARROWEST or highest < max(others, default=0) + _APART:
        return
    deduced.values["maxphyaddr"] = highest - 1
    why = f"a reserved bit is set, and bit {highest - 1} of {name} {named[name]:#x} stands apart from all others"
    deduced.say("maxphyaddr", f"maxphyaddr={highest - 1}: {why}")


def _wanted(facts: CrashFacts, code: int | None, known: Mapping[str, int]) -> Sequence[str]:
    """Return what else an answer would need, and which line has it."""
    wanted = [] if code is not None else ["the error code: the line `#PF: error_code(...)`"]
    wanted += [] if "cr0" in known else ["the line `CS: ... CR0: ...`"]
    wanted += [] if "cr3" in known and "cr4" in known else ["the line `CR2: ... CR3: ... CR4: ...`"]
    if facts.all("bad") and "maxphyaddr" not in known:
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
    for name, value in _ENTRY.findall(" ".join([said[1], *(more for (more,) in facts.all("more tables"))])):
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
