"""What QEMU logs of exceptions on x86 (`-d int`): a line, and behind it every register.

       0: v=0e e=0002 i=0 cpl=0 IP=0010:ffffffff81000000 pc=... SP=0018:ffffc90000003e40 CR2=0000000000000010
    RAX=0000000000000000 RBX=...
    CR0=80050033 CR2=0000000000000010 CR3=00000000080b2000 CR4=000010a0
    EFER=0000000000000d01

Which CPU it is of is not logged.  `check_exception old: 0x8 new 0xe` is a fault on the way to the double fault's
handler: the CPU is reset then.

Source: QEMU, `target/i386/tcg/seg_helper.c` (do_interrupt_all), `target/i386/tcg/excp_helper.c` (check_exception) and
`target/i386/cpu-dump.c`, of 7.2 to 11.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gdbtools.arch.x86_64.exceptions.frame import MNEMONICS
from gdbtools.systems.crash import Crash, Deduction
from gdbtools.systems.qemu.exceptions import LogGrammar, Loop, Taken, of_a_loop

_TAKEN: Final = re.compile(
    rb"\b\d{1,9}: v=([0-9a-f]{2}) e=([0-9a-f]{4,8}) i=([01]) cpl=([0-3]) "
    rb"IP=([0-9a-f]{4}):([0-9a-f]{8,16}) pc=[0-9a-f]{8,16} SP=[0-9a-f]{4}:[0-9a-f]{8,16} (CR2=[0-9a-f]{8,16})?"
    rb"|check_exception old: 0x8 new 0x(?:0|[a-e])\r?$",
    re.MULTILINE,
)
_REGISTER: Final = re.compile(rb"\b(R[A-Z][A-Z]|R[89]|R1[0-5]|CR[0234]|EFER|RFL) ?=([0-9a-f]{8,16})\b")
_OTHERWISE: Final = {"rfl": "eflags"}
_DOUBLE_FAULT, _PAGE_FAULT = 8, 14
_OTHERS_FIRST: Final = 32
"""The first vector that is no exception of the processor's own."""
_NMI: Final = 2


def taken(data: bytes) -> Iterator[Taken]:
    """Yield the exceptions in some lines of a log."""
    for found in _TAKEN.finditer(data):
        if found[1] is None:
            yield Taken(found.start(), "", "reset for a third fault", b"", kills=True)
            continue
        vector = int(found[1], 16)
        name = MNEMONICS.get(vector, f"vector {vector:#x}")
        usual = vector >= _OTHERS_FIRST or vector == _NMI or found[3] == b"1"
        same = b"".join(found.group(1, 2, 6)) + (found[7] or b"")
        yield Taken(found.start(), "", name, same, usual, kills=vector == _DOUBLE_FAULT)


def crash(loop: Loop) -> Crash:
    """Return what the first exception of a loop comes to."""
    around, start = loop.first.around, loop.first.before
    found = _TAKEN.match(around, start)
    assert found is not None, "it was found there"
    vector = int(found[1], 16)
    own = around[found.end() :].split(b": v=", 1)[0]
    stated: dict[str, int] = {}
    for name, digits in _REGISTER.findall(own):
        lower = name.decode().lower()
        stated.setdefault(_OTHERWISE.get(lower, lower), int(digits, 16))
    stated |= {"error_code": int(found[2], 16), "cs": int(found[5], 16), "rip": int(found[6], 16)}
    read = vector == _PAGE_FAULT
    return Crash(
        system="QEMU's log of x86",
        line=loop.first.line,
        title=loop.first.title,
        architecture="x86_64" if read else "",
        stated=stated if read else {},
        deduced=Deduction().derived,
        where=f"{int(found[6], 16):#x}",
        repeats=of_a_loop(loop),
        wanted=("the tables that CR3 leads to: `mmu capture FILE` in GDB at that exception",) if read else (),
        unread="" if read else f"{MNEMONICS.get(vector, f'vector {vector:#x}')}: only page faults are",
    )


GRAMMAR: Final = LogGrammar("x86", b": v=", taken, crash)
