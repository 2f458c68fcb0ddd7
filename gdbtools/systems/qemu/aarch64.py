"""What QEMU logs of Arm's exceptions (`-d int`): a few lines each.

    Taking exception 4 [Data Abort] on CPU 0
    ...from EL1 to EL1
    ...with ESR 0x25/0x96000046
    ...with FAR 0x10
    ...with ELR 0x4020118c
    ...to EL1 PC 0x40200200 PSTATE 0x3c5

Since 8.2 there is SPSR; in AArch32 state there are DFSR and DFAR, or IFSR and IFAR, in place of FAR and ELR.  Lines of
several CPUs that are mixed are taken for those of the exception before them.

Source: QEMU, `target/arm/helper.c` (arm_log_exception, arm_cpu_do_interrupt_aarch64, arm_cpu_do_interrupt_aarch32), of
7.2 to 11.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.systems.crash import Crash, Deduction
from gdbtools.systems.qemu.exceptions import LogGrammar, Loop, Taken, numbers, of_a_loop

_TAKEN: Final = re.compile(
    rb"Taking exception (\d{1,4}) \[([^\]\n]{1,60})\] on CPU (\d{1,4})[^\n]*\n"
    rb"((?:[^\n]{0,60}\.\.\.(?:from|with|to|handled) [^\n]*\n){0,9})"
)
_USUAL: Final = frozenset(
    (
        b"SVC",
        b"IRQ",
        b"FIQ",
        b"Virtual IRQ",
        b"Virtual FIQ",
        b"Hypervisor Call",
        b"Secure Monitor Call",
        b"Semihosting call",
    )
)
_FACTS: Final = {
    "from": re.compile(rb"\.\.\.from EL([0-3])"),
    "to": re.compile(rb"\.\.\.from EL[0-3] to EL([0-3])"),
    "ESR": re.compile(rb"\.\.\.with ESR 0x[0-9a-f]{1,2}/0x([0-9a-f]{1,16})"),
    "FAR": re.compile(rb"\.\.\.with FAR 0x([0-9a-f]{1,16})"),
    "SPSR": re.compile(rb"\.\.\.with SPSR 0x([0-9a-f]{1,16})"),
    "ELR": re.compile(rb"\.\.\.with ELR 0x([0-9a-f]{1,16})"),
    "pc": re.compile(rb"\.\.\.to EL[0-3] PC 0x([0-9a-f]{1,16})"),
    "cpsr": re.compile(rb"\.\.\.to EL[0-3] PC 0x[0-9a-f]{1,16} PSTATE 0x([0-9a-f]{1,8})"),
}
_AARCH32: Final = {
    "dfsr": re.compile(rb"\.\.\.with DFSR 0x([0-9a-f]{1,8})"),
    "dfar": re.compile(rb"\.\.\.with DFSR 0x[0-9a-f]{1,8} DFAR 0x([0-9a-f]{1,8})"),
    "ifsr": re.compile(rb"\.\.\.with IFSR 0x([0-9a-f]{1,8})"),
    "ifar": re.compile(rb"\.\.\.with IFSR 0x[0-9a-f]{1,8} IFAR 0x([0-9a-f]{1,8})"),
}


def taken(data: bytes) -> Iterator[Taken]:
    """Yield the exceptions in some lines of a log."""
    for found in _TAKEN.finditer(data):
        number, name, cpu, lines = found.groups()
        yield Taken(found.start(), cpu.decode(), name.decode(errors="replace"), number + lines, name in _USUAL)


def crash(loop: Loop) -> Crash:
    """Return what the first exception of a loop comes to."""
    found = _TAKEN.match(loop.first.around, loop.first.before)
    lines = b"" if found is None else found[4]
    narrow = numbers({name: each[1] for name, pattern in _AARCH32.items() if (each := pattern.search(lines))})
    if narrow:
        return _of_aarch32(loop, narrow)
    facts = numbers({name: each[1] for name, pattern in _FACTS.items() if (each := pattern.search(lines))})
    suffix, deduced = f"EL{facts.get('to', 1)}", Deduction()
    stated = {f"{name}_{suffix}": facts[name] for name in ("ESR", "FAR", "SPSR", "ELR") if name in facts}
    stated |= {name: facts[name] for name in ("pc", "cpsr") if name in facts}
    if "SPSR" not in facts and "from" in facts:
        # Which stack pointer it had is not logged, and decides nothing.
        deduced.assume(f"SPSR_{suffix}", int(SPSR(0).with_(M=facts["from"] << 2)), f"from EL{facts['from']}")
    return Crash(
        system="QEMU's log of AArch64",
        line=loop.first.line,
        title=loop.first.title,
        architecture="aarch64",
        stated=stated,
        deduced=deduced.derived,
        where=f"{facts['ELR']:#x}" if "ELR" in facts else "",
        repeats=of_a_loop(loop),
        wanted=(_WANTED,) if "FAR" in facts else (),
    )


_WANTED: Final = (
    "the tables: `mmu capture FILE` in GDB at that exception, or `-s qmp:PATH` of the guest that is in the loop"
)


def _of_aarch32(loop: Loop, stated: dict[str, int]) -> Crash:
    return Crash(
        system="QEMU's log of AArch32",
        line=loop.first.line,
        title=loop.first.title,
        architecture="aarch32",
        stated={name.upper(): value for name, value in stated.items()},
        repeats=of_a_loop(loop),
        wanted=(_WANTED,),
    )


GRAMMAR: Final = LogGrammar("AArch64 or AArch32", b"Taking exception ", taken, crash)
