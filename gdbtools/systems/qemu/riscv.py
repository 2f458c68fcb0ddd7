"""What QEMU logs of a RISC-V hart's traps (`-d int`), a line each, and of its own walks (`-d mmu`).

    riscv_cpu_do_interrupt: hart:0, async:0, cause:000000000000000d, epc:0x80007f08, tval:0x10, desc=load_page_fault
    riscv_cpu_tlb_fill 1st-stage address=10 ret 1 physical 0000000000000000 prot 0

Source: QEMU, `target/riscv/cpu_helper.c` (riscv_cpu_do_interrupt, riscv_cpu_tlb_fill), of 5.0 to 11.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gdbtools.systems.crash import Crash, Deduction
from gdbtools.systems.qemu.exceptions import LogGrammar, Loop, Taken, of_a_loop

_TAKEN: Final = re.compile(
    rb"riscv_cpu_do_interrupt: hart:(\d{1,4}), async:(\d), cause:([0-9a-f]{8,16}), epc:0x([0-9a-f]{1,16}), "
    rb"tval:0x([0-9a-f]{1,16}), desc=([\w ]{1,40})"
)
_WALKED: Final = re.compile(rb"address=([0-9a-f]{1,16}) ret (-?\d{1,3}) physical ([0-9a-f]{1,16}) prot")
_CALL: Final = b"ecall"
_WIDE: Final = 16
_RESULTS: Final = {
    0: "translated it to {:#x}",
    1: "could not translate it",
    2: "was kept from it by PMP",
    3: "could not translate it in the second stage",
}
"""TRANSLATE_SUCCESS, TRANSLATE_FAIL, TRANSLATE_PMP_FAIL, TRANSLATE_G_STAGE_FAIL."""


def taken(data: bytes) -> Iterator[Taken]:
    """Yield the traps in some lines of a log."""
    for found in _TAKEN.finditer(data):
        hart, is_interrupt, cause, epc, tval, name = found.groups()
        usual = is_interrupt != b"0" or name.endswith(_CALL)
        yield Taken(found.start(), hart.decode(), name.decode().replace("_", " "), cause + epc + tval, usual)


def crash(loop: Loop) -> Crash:
    """Return what the first trap of a loop comes to."""
    around, start = loop.first.around, loop.first.before
    found = _TAKEN.match(around, start)
    assert found is not None, "it was found there"
    cause, epc, tval = (int(found[group], 16) for group in (3, 4, 5))
    deduced = Deduction()
    deduced.say("scause", "scause, sepc, stval: S-mode took it; whether it was M-mode is not logged")
    walks = [each for each in _WALKED.finditer(around, 0, start) if int(each[1], 16) == tval]
    told = _RESULTS.get(int(walks[-1][2])) if walks else None
    return Crash(
        system="QEMU's log of RISC-V",
        line=loop.first.line,
        title=loop.first.title,
        architecture="riscv64" if len(found[3]) == _WIDE else "riscv32",
        stated={"scause": cause, "sepc": epc, "stval": tval},
        deduced=deduced.derived,
        where=f"{epc:#x}",
        repeats=(*of_a_loop(loop), *([f"QEMU's own walk {told.format(int(walks[-1][3], 16))}"] if told else [])),
        wanted=("satp, and the tables: `mmu capture FILE` in GDB, or `-s qmp:PATH` of the guest that is in the loop",),
    )


GRAMMAR: Final = LogGrammar("RISC-V", b"riscv_cpu_do_interrupt: ", taken, crash)
