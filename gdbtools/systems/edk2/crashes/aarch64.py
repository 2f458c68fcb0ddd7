"""What edk2 prints on AArch64 of an exception: where, in every build; and registers, in a build for debugging.

    Synchronous Exception at 0x000000005C3B42D0
     SP 0x000000005F5E8AB0  ELR 0x000000005C3B42D0  SPSR 0x20000205  FPSR 0x00000000
    ESR 0x96000004          FAR 0x0010000000000000

The first line goes to the serial port and to the console, which may be one.

Source: edk2, `ArmPkg/Library/DefaultExceptionHandlerLib/AArch64/DefaultExceptionHandler.c`, of 2014 to 2025.02.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar
from gdbtools.systems.crashes import aarch64

_LINES: Final = {
    "first": re.compile(r"^(Synchronous|IRQ|FIQ|SError) Exception at 0x([0-9A-Fa-f]{16})\b"),
    "elr": re.compile(r"^\w+ Exception at 0x([0-9A-Fa-f]{16})\b"),
    "general": re.compile(r"\bX([12]?\d) 0x([0-9A-Fa-f]{16})\b"),
    "frame": re.compile(r"\bFP 0x([0-9A-Fa-f]{16})\b"),
    "lr": re.compile(r"\bLR 0x([0-9A-Fa-f]{16})\b"),
    "sp": re.compile(r"\bSP 0x([0-9A-Fa-f]{16}) +ELR 0x"),
    "state": re.compile(r"\bSPSR 0x([0-9A-Fa-f]{8})\b"),
    "esr": re.compile(r"\bESR 0x([0-9A-Fa-f]{8,16}) +FAR 0x"),
    "far": re.compile(r"\bFAR 0x([0-9A-Fa-f]{16})\b"),
    # Which part of the firmware it is, the innermost call first.
    "image": re.compile(r"^PC 0x[0-9A-Fa-f]+ \(0x[0-9A-Fa-f]+\+0x[0-9A-Fa-f]+\) \[ *0\] (\S+)"),
}
_SYSTEM: Final = "edk2 on AArch64"
_INTERRUPTS: Final = ("IRQ", "FIQ")
_SHIPPED: Final = "the registers, ESR and FAR among them, which a build for debugging (-b DEBUG) prints"


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of an exception come to."""
    first, at, image = facts.first("first"), facts.number("elr"), facts.first("image")
    if first is None or at is None:
        return None
    if first[0] in _INTERRUPTS:
        return Crash(_SYSTEM, facts.line, facts.title, unread=aarch64.INTERRUPT)
    deduced, frame = Deduction(), facts.number("frame")
    if not facts.all("state"):
        deduced.say("", "the exception was taken to EL1: there is no SPSR")
    general = aarch64.numbered(facts) | ({} if frame is None else {"x29": frame})
    found = aarch64.of_registers(facts, "edk2", 1, deduced, general)
    if found is None:
        found = Crash(_SYSTEM, facts.line, facts.title, "aarch64", {"ELR_EL1": at}, deduced.derived, wanted=(_SHIPPED,))
    return replace(found, where=f"{at:#x}" if image is None else f"{at:#x}, in {image[0]}")


GRAMMAR: Final = Grammar(
    signs=("Synchronous Exception at 0x", "SError Exception at 0x", "IRQ Exception at 0x", "FIQ Exception at 0x"),
    begins=(("first",),),
    lines=_LINES,
    ends=re.compile(r"^ASSERT \[|^UEFI firmware \("),
    crash=crash,
    says_twice=True,
)
