"""Registers as `info registers` prints them, GDB's or that of QEMU's monitor, pasted into a file.

    x0             0x80000010          2147483664
    PC=0000000040201200 X00=0000000080000010 X01=0000000000000000
    CR0=80010031 CR2=0000000000000000 CR3=0000000000204000 CR4=000000a0
     satp     8000000000080003
     x0/zero  0000000000000000 x1/ra    000000008000037c

Of several CPUs (`info registers -a`) the first is taken.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from gdbtools.arch.model import by_cpu

_OF_GDB: Final = re.compile(r"\s*([A-Za-z_]\w{0,30})\s+(0x[0-9a-f]{1,16})(?:\s|$)")
_EQUAL: Final = re.compile(r"\b([A-Za-z]\w{0,15}) *= *([0-9a-f]{1,16})\b")
_BESIDE: Final = re.compile(r"\b([a-z]\w{0,15}(?:/\w{1,8})?) +([0-9a-f]{8,16})\b")
NARROWEST: Final = 8
"""How many digits of a register the monitor prints at least: with fewer, it is a selector, or a flag beside one."""


def pasted(text: str, narrow: Collection[str]) -> Mapping[str, str]:
    """Return what such a text has for each name that stands in it; nothing where it is none.

    `narrow` are the monitor's names of those that may have few digits.
    """
    cpus = by_cpu(text)
    found: dict[str, str] = {}
    for line in (next(iter(cpus.values())) if cpus else text).splitlines():
        of_gdb = _OF_GDB.match(line)
        if of_gdb is not None:
            found.setdefault(of_gdb[1], of_gdb[2])
            continue
        for name, digits in (*_EQUAL.findall(line), *_BESIDE.findall(line)):
            if len(digits) >= NARROWEST or name in narrow:
                found.setdefault(name, f"0x{digits}")
    return found
