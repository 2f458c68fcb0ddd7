"""What seL4 prints, in a debug build, of a thread's fault that nobody handles, and of its own.

    vm fault on data at address 0x10 with status 0x92000045
    in thread 0xffffff80004a5400 "rootserver" at address 0x4022b9

    KERNEL DATA ABORT!
    Faulting instruction: 0xffffff8040005a1c
    FAR: 0x10 ESR (DFSR): 0x96000045

On AArch64 the status is the whole syndrome; on x86 and RISC-V it is a small number, and the log does not say of which.

Source: seL4, `src/api/faults.c` (handleFault), `src/machine/io.c` and `src/arch/arm/kernel/vspace.c` (kernelDataAbort,
kernelPrefetchAbort), of 10 to 13.
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.arch.aarch64.syndrome import EC, ESR_ELx
from gdbtools.systems.crash import Crash, CrashFacts, Deduction, Grammar
from gdbtools.systems.crashes import aarch64

_LINES: Final = {
    "thread": re.compile(r"\bvm fault on (code|data) at address (?:0x[0-9a-f]{1,16}|\(nil\)) with status"),
    "kernel": re.compile(r"\bKERNEL (DATA|PREFETCH) ABORT!"),
    "far": re.compile(r"(?:\bvm fault on \w+ at address |\bFAR: )0x([0-9a-f]{1,16})\b"),
    "null": re.compile(r"\bvm fault on \w+ at address (\(nil\)) "),
    "esr": re.compile(r"(?:\bvm fault on .*? with status |\bESR \([ID]FSR\): )0x([0-9a-f]{1,16})\b"),
    "elr": re.compile(r"(?:^in thread .*? at address |\bFaulting instruction: )0x([0-9a-f]{1,16})$"),
}
_ABORTS: Final = {
    "thread": (EC.DATA_ABORT_LOWER_EL, EC.INSTRUCTION_ABORT_LOWER_EL),
    "kernel": (EC.DATA_ABORT_SAME_EL, EC.INSTRUCTION_ABORT_SAME_EL),
}


def crash(facts: CrashFacts) -> Crash | None:
    """Return what the lines of a fault come to."""
    of = "thread" if facts.all("thread") else "kernel"
    status = facts.number("esr")
    if status is None:
        return None
    if ESR_ELx.EC.of(status) not in _ABORTS[of]:
        why = "its status is not AArch64's, and does not say whose it is"
        return Crash("seL4", facts.line, facts.title, unread=why)
    if facts.all("null"):
        facts.add("far", ("0",))
    deduced = Deduction()
    deduced.say("", "the exception was taken to EL1: a build for hypervisors has it at EL2")
    return aarch64.of_registers(facts, "seL4", 1, deduced)


GRAMMAR: Final = Grammar(
    signs=("vm fault on ", "KERNEL DATA ABORT!", "KERNEL PREFETCH ABORT!"),
    begins=(("thread",), ("kernel",)),
    lines=_LINES,
    ends=re.compile(r"^With stack:|^halting"),
    crash=crash,
)
