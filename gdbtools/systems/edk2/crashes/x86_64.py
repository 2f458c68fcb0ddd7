"""What edk2 prints on x86-64 of an exception: its registers, in every build; no entry of its tables.

    !!!! X64 Exception Type - 0E(#PF - Page-Fault)  CPU Apic ID - 00000000 !!!!
    ExceptionData - 0000000000000002  I:0 R:0 U:0 W:1 P:0 PK:0 SS:0 SGX:0
    RIP  - 000000001E6F3B7D, CS  - 0000000000000038, RFLAGS - 0000000000010202

Source: edk2, `UefiCpuPkg/Library/CpuExceptionHandlerLib/X64/ArchExceptionHandler.c` (DumpCpuContext), of 2010 to
2025.02.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.arch.x86_64.registers.control import EFER
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar

_GENERAL: Final = (
    "RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "RSP", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
    "RIP", "CS", "CR0", "CR2", "CR3", "CR4",
)  # fmt: skip
_LINES: Final = {
    "type": re.compile(r"!!!! X64 Exception Type - ([0-9A-F]{2})\(([^)]*)\)"),
    "code": re.compile(r"\bExceptionData - ([0-9A-F]{8,16})\b"),
    "register": re.compile(rf"\b({'|'.join(_GENERAL)}) +- ([0-9A-F]{{16}})\b"),
    "flags": re.compile(r"\bRFLAGS - ([0-9A-F]{16})\b"),
    "image": re.compile(r"!!!! Find image based on IP\(0x[0-9A-F]+\) (\S+) \(ImageBase=([0-9A-F]+)"),
    "i386": re.compile(r"!!!! IA32 Exception Type - "),
}
_PAGE_FAULT: Final = 14
_EFER: Final = EFER(0).with_(LME=1, LMA=1, NXE=1)
_SYSTEM: Final = "edk2 on x86-64"


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of an exception come to."""
    if facts.all("i386"):
        return Crash("edk2 on 32-bit x86", facts.line, facts.title, unread="its registers and tables are not read yet")
    if facts.number("type") != _PAGE_FAULT:
        return Crash(_SYSTEM, facts.line, facts.title, unread="only page faults are")
    deduced = Deduction({"efer": int(_EFER)})
    deduced.say("efer", f"efer={int(_EFER):#x}: firmware of 64 bits, with execute-disable")
    stated = {name.lower(): int(value, 16) for name, value in facts.all("register")}
    for name, value in (("error_code", facts.number("code")), ("eflags", facts.number("flags"))):
        if value is not None:
            stated[name] = value
    at, image = stated.get("rip"), facts.first("image")
    where = "" if at is None else f"{at:#x}"
    if at is not None and image is not None:
        where += f", in {image[0]} at {at - int(image[1], 16):#x}"
    wanted = [] if "error_code" in stated else ["the error code: the line `ExceptionData - ...`"]
    wanted += [] if "cr3" in stated else ["the lines `CR0 - ...` and `CR4 - ...`"]
    return Crash(
        system=_SYSTEM,
        line=facts.line,
        title=facts.title,
        architecture="x86_64",
        stated=stated,
        deduced=deduced.derived,
        where=where,
        wanted=(*wanted, "a capture, or the entries that CR3 leads to: edk2 prints none of them"),
    )


GRAMMAR: Final = Grammar(
    signs=("!!!! X64 Exception Type - ", "!!!! IA32 Exception Type - "),
    begins=(("type", "i386"),),
    lines=_LINES,
    ends=re.compile(r"!!!! (?:Find image based on IP|Can't find image information)"),
    crash=crash,
)
