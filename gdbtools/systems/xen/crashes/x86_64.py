"""What Xen prints on x86-64 of a page fault: its own, or one that its paravirtual guest has no handler for.

    RIP:    e008:[<ffff82d04021443c>] grant_table.c#acquire_grant_for_copy+0x2bc/0xcd0
    Pagetable walk from 0000000000000010:
     L4[0x000] = 0000000016654067 0000000000006654
     L3[0x000] = 0000000000000000 ffffffffffffffff
    [error_code=0002]
    Faulting linear address: 0000000000000010

The second number of an entry is the guest's own of the machine's frame that it leads to, or none.

Source: Xen, `xen/arch/x86/x86_64/traps.c` (show_registers), `xen/arch/x86/x86_64/mm.c` (show_page_walk),
`xen/arch/x86/traps.c` (do_page_fault, fatal_trap) and `xen/arch/x86/pv/traps.c` (pv_inject_event), of 4.17.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import written_down
from gdbtools.arch.x86_64.privileges import USER_CPL
from gdbtools.arch.x86_64.registers.control import EFER, Selector
from gdbtools.arch.x86_64.syndrome.page_fault import PageFaultCode
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.errors import GdbtoolsError
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar, followed_by_index

_GENERAL: Final = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip
_LINES: Final = {
    "registers": re.compile(r"----\[ Xen-\S+ +x86_64\b"),
    "unhandled": re.compile(r"\bUnhandled: vec 14, #PF\[([0-9a-fA-F]{1,8})\]"),
    # Before 4.10.
    "unhandled_before": re.compile(r"\b[Uu]nhandled page fault .*?\bec=([0-9a-fA-F]{1,8})\b"),
    "rip": re.compile(r"\bRIP: +([0-9a-f]{4}):\[<([0-9a-f]{16})>\] ?(\S*)"),
    "flags": re.compile(r"\bRFLAGS: ([0-9a-f]{16})\b"),
    "of_guest": re.compile(r"\bCONTEXT: (pv guest \(d\d+v\d+\))"),
    "general": re.compile(rf"\b({'|'.join(_GENERAL)}): +([0-9a-f]{{16}})\b"),
    "control": re.compile(r"\b(cr[0234]): ([0-9a-f]{16})\b"),
    "walk": re.compile(r"\bPagetable walk from ([0-9a-f]{16}):"),
    "entry": re.compile(r"\bL([1-4])\[0x([0-9a-f]{3})\] = ([0-9a-f]{16}) ([0-9a-f]{16})\b"),
    "panic": re.compile(r"\b(FATAL TRAP: vector = .+|GENERAL PROTECTION FAULT|Xen BUG at .+|DOUBLE FAULT)"),
    "page_fault": re.compile(r"\bFATAL PAGE FAULT\b"),
    "code": re.compile(r"\[error_code=([0-9a-f]{4,8})\]"),
    "address": re.compile(r"\bFaulting linear address: ([0-9a-f]{16})\b"),
}
_EFER: Final = EFER(0).with_(SCE=1, LME=1, LMA=1, NXE=1)
_NO_FRAME: Final = (1 << 64) - 1
_SYSTEM: Final = "Xen on x86-64"


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a page fault come to; None where registers were printed for another reason."""
    code = _code(facts)
    if code is None and not facts.all("walk") and not facts.all("page_fault"):
        died = facts.first("panic")
        return None if died is None else Crash(_SYSTEM, facts.line, died[0], unread="only page faults are")
    stated, deduced = _stated(facts), Deduction({"efer": int(_EFER)})
    deduced.say("efer", f"efer={int(_EFER):#x}: a 64-bit hypervisor with execute-disable")
    if code is not None:
        stated |= _of_hardware(facts, code, stated.get("cs"), deduced)
    for name, what in (("walk", "the address that Xen walked"), ("address", "the faulting linear address")):
        value = facts.number(name)
        if value is not None:
            deduced.agree("cr2", value, what, stated)
    if facts.all("of_guest") and "cr3" in stated:
        deduced.say("cr3", "cr3: the guest's own root, as Xen reads it; with XPTI the processor had Xen's copy of it")
    values = {**deduced.values, **stated}
    at, guest = facts.first("rip"), facts.first("of_guest")
    return Crash(
        system=_SYSTEM if guest is None else f"{_SYSTEM}, {guest[0]}",
        line=facts.line,
        title=facts.title,
        architecture="x86_64",
        stated=stated,
        deduced=deduced.derived,
        descriptors=_placed(values, facts, deduced),
        where="" if at is None else at[2] or at[1],
        told=_frames(facts),
        doubts=tuple(deduced.doubts),
        wanted=tuple(_wanted(facts, code, stated)),
    )


GRAMMAR: Final = Grammar(
    signs=("----[ Xen-", "Unhandled: vec 14, #PF[", "nhandled page fault "),
    # A guest's registers come behind its walk, Xen's own before it.
    begins=(("unhandled", "registers"), ("unhandled_before", "registers")),
    lines=_LINES,
    ends=re.compile(r"\bFaulting linear address: |\bGuest stack trace from rsp\b|\bManual reset required\b"),
    crash=crash,
)


def _code(facts: CrashFacts) -> int | None:
    names = ("unhandled", "unhandled_before", *(("code",) if facts.all("page_fault") else ()))
    return next((value for value in map(facts.number, names) if value is not None), None)


def _stated(facts: CrashFacts) -> dict[str, int]:
    stated: dict[str, int] = {}
    for name, value in (*facts.all("general"), *facts.all("control")):
        stated.setdefault(name, int(value, 16))
    others = {"cs": facts.number("rip"), "rip": facts.number("rip", 1), "eflags": facts.number("flags")}
    return {**stated, **{name: value for name, value in others.items() if value is not None}}


def _of_hardware(facts: CrashFacts, code: int, selector: int | None, deduced: Deduction) -> Mapping[str, int]:
    """Return the error code as hardware has it: Xen tells a guest's kernel, of ring 3, that it was no user."""
    if not facts.all("of_guest") or selector is None or Selector(selector).RPL != USER_CPL or PageFaultCode(code).U:
        return {"error_code": code}
    of_user = int(PageFaultCode(code).with_(U=1))
    deduced.assume("error_code", of_user, f"Xen says {code:#x}, without U/S, of a guest's kernel, which runs in ring 3")
    return {}


def _placed(values: Mapping[str, int], facts: CrashFacts, deduced: Deduction) -> Mapping[PA, int]:
    address = facts.number("walk")
    if address is None:
        return {}
    try:
        regime = regimes.regime(written_down(values))
    except GdbtoolsError:
        return {}
    entries = [(int(level), int(index, 16), int(value, 16)) for level, index, value, _ in facts.all("entry")]
    return followed_by_index(regime, VA(address), entries, deduced)


def _frames(facts: CrashFacts) -> tuple[tuple[str, str], ...]:
    """Return the guest's own numbers of the frames that the entries lead to, as far as there are any."""
    known = [(level, int(number, 16)) for level, _, _, number in facts.all("entry")]
    said = [f"L{level} leads to {number:#x}" for level, number in known if number != _NO_FRAME]
    return (("guest's frame", ", ".join(said)),) if said else ()


def _wanted(facts: CrashFacts, code: int | None, stated: Mapping[str, int]) -> list[str]:
    wanted = [] if code is not None else ["the error code: the line `[error_code=...]`"]
    wanted += [] if "cr3" in stated and "cr4" in stated else ["the lines of registers, from `RIP:` to `cs:`"]
    return wanted if facts.all("walk") else [*wanted, "the line `Pagetable walk from ...` and those behind it"]
