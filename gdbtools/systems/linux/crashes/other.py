"""How else Linux says that it died, on every architecture: in words that are named, and no more.

    kernel BUG at mm/slub.c:440!
    general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] PREEMPT SMP PTI
    Kernel panic - not syncing: Fatal exception

Where a crash that is read stands beside it, such a line is its consequence, or its cause.

Source: Linux, `lib/bug.c` (report_bug), `kernel/panic.c` (panic), `arch/x86/kernel/traps.c` (do_error_trap,
exc_general_protection, exc_double_fault), and the `die` of each architecture.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.systems.crash import Crash, CrashFacts, Grammar

_DEATHS: Final = (
    "general protection fault", "double fault", "invalid opcode", "divide error", "stack segment",
    "Internal error", "Oops - BUG",
)  # fmt: skip
_LINES: Final = {
    "bug": re.compile(r"\bkernel BUG at \S"),
    "died": re.compile(rf"^(?:Oops: )?(?:{'|'.join(_DEATHS)})\b.*: [0-9a-f]{{1,16}} \[#\d+\]"),
    "panic": re.compile(r"\bKernel panic - not syncing\b"),
}


def crash(facts: CrashFacts) -> Crash:
    """Return that there is a crash, and that only a page fault's is read."""
    return Crash("Linux", facts.line, facts.title, unread="only crashes with a fault's syndrome or tables are")


GRAMMAR: Final = Grammar(
    signs=(*_DEATHS, "kernel BUG at ", "Kernel panic - "),
    begins=(("bug", "died", "panic"),),
    lines=_LINES,
    # The panic comes behind the end of the trace.
    ends=re.compile(r"---\[ end Kernel panic"),
    crash=crash,
    is_last_resort=True,
)
