"""Lines that Linux prints around a crash on every architecture.

Source: Linux, `lib/dump_stack.c` (dump_stack_print_info), `kernel/panic.c` (print_oops_end_marker, panic), and the
notifiers (dump_kernel_offset) of `arch/arm64/kernel/setup.c`, `arch/x86/kernel/setup.c`, `arch/riscv/kernel/setup.c`.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.systems.crash import CrashFacts

LINE_OF_CPU: Final = re.compile(r"\bCPU: (\d{1,6}) (?:UID: \d+ )?PID: \d+ Comm: ")
LINE_OF_RELEASE: Final = re.compile(r"\bPID: \d+ Comm: .* (\d+\.\d+\.\d\S*) #")
ENDS: Final = re.compile(r"---\[ end (?:trace|Kernel panic)")
LINE_OF_KASAN: Final = re.compile(r"\bKASAN: ([\w-]+) in range \[(0x[0-9a-f]{1,16})-(0x[0-9a-f]{1,16})\]")
LINE_OF_STACK: Final = re.compile(
    r"\b(?:stack guard page was hit at \S+ \(stack is [^)]+\)|Insufficient stack space to handle exception!"
    r"|kernel stack overflow\b)"
)
AFTER: Final = {"offset": re.compile(r"\bKernel Offset: (disabled|0x[0-9a-f]{1,16})")}
"""How far the kernel was moved, which a panic prints behind the end of the trace."""


def claims(facts: CrashFacts) -> tuple[str, ...]:
    """Return what the kernel itself says that a crash comes of: its checks of memory, and of its stack."""
    said = [f"{what}, in {first} to {last}, says KASAN" for what, first, last in facts.all("kasan")]
    said += ["the kernel's stack has run out, as it says itself"] if facts.all("stack") else []
    return tuple(dict.fromkeys(said))
