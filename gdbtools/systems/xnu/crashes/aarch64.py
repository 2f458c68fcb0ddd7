"""What XNU prints on AArch64 when its kernel faults: macOS, iOS, and all that is built of them.

    panic(cpu 0 caller 0xfffffe0017a3f264): Kernel data abort. at pc 0x..., lr 0x... (saved state: 0x...)
          x0:  0xfffffe2bcc1f5400 x1:  0x0000000000000000  x2:  0x0000000000000000  x3:  0x0000000000000000
          pc:  0xfffffe001af24350 cpsr: 0x60401208         esr: 0x96000006          far: 0xfffffe005647c034

lr may be signed, and is printed as it is.  Source: XNU, `osfmk/arm64/sleh.c` (panic_with_thread_kernel_state), of
macOS 11 to 14.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar
from gdbtools.systems.crashes import aarch64

_LINES: Final = {
    "panic": re.compile(r"\bpanic\(cpu (\d+) caller 0x[0-9a-f]{1,16}\): \S"),
    "named": re.compile(r"\): .*?\bat pc 0x([0-9a-f]{1,16}), lr 0x[0-9a-f]{1,16}"),
    "general": re.compile(r"\bx([12]?\d): +0x([0-9a-f]{16})\b"),
    "fp": re.compile(r"\bfp: +0x([0-9a-f]{16})\b"),
    "lr": re.compile(r"\blr: +0x([0-9a-f]{16})\b"),
    "sp": re.compile(r"\bsp: +0x([0-9a-f]{16})\b"),
    "elr": re.compile(r"\bpc: +0x([0-9a-f]{16})\b"),
    "state": re.compile(r"\bcpsr: +0x([0-9a-f]{8,16})\b"),
    "esr": re.compile(r"\besr: +0x([0-9a-f]{8,16})\b"),
    "far": re.compile(r"\bfar: +0x([0-9a-f]{16})\b"),
}


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a panic come to; one that is of no exception is named."""
    if not facts.all("esr"):
        return Crash("XNU", facts.line, facts.title, unread="it is of no exception, or its registers are cut off")
    deduced = Deduction()
    aarch64.held_against(facts, deduced, "named", "elr", "the first line and the registers have another pc")
    frame = facts.number("fp")
    general = {**aarch64.numbered(facts), **({} if frame is None else {"x29": frame})}
    return aarch64.of_registers(facts, "XNU", 1, deduced, general)


GRAMMAR: Final = Grammar(
    signs=("panic(cpu ",),
    begins=(("panic",),),
    lines=_LINES,
    ends=re.compile(r"^Debugger message: |^Panicked task "),
    crash=crash,
)
