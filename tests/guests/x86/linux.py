"""A real Linux for x86-64: Debian's kernel for clouds, with 4 or 5 levels and with PTI or without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from tests.guests.linux import LinuxGuest
from tests.guests.packages import Qemu, kernel, qemu
from tests.places import ROOT

COMMAND_LINES = {
    "5-level": "pti=off",
    "4-level": "no5lvl pti=off",
    "5-level, PTI": "pti=on",
    "4-level, PTI": "no5lvl pti=on",
}
"""What has Linux use each on a CPU that has all."""
LINE = re.compile(r"^([0-9a-f]{16}): ([0-9a-f]{16}) ([-XGPDACTUW]{9})\r?$", re.MULTILINE)
PAGE_BYTES = 4096
GUARDED = ROOT / "fixtures/guests/x86/linux/guarded.elf"
"""A process with a page that may not be touched."""
FLAGS = ("NX", "G", "PS", "D", "A", "PCD", "PWT", "US", "RW")


@dataclass
class X86Linux(LinuxGuest):
    """As `LinuxGuest`; nothing of exception levels applies."""

    architecture: ClassVar[str] = "amd64"
    machine: ClassVar[str] = "pc"
    console: ClassVar[str] = "ttyS0"
    ram_base: ClassVar[int] = 0

    cpu: str = "max"
    qemu: Qemu = field(default_factory=lambda: qemu("system", "qemu-system-x86_64"))


def booted(shape: str, name: str = "system") -> X86Linux:
    """Return a guest, not booted yet; raises `Unavailable` where a part of it cannot be had."""
    program, own = qemu(name, "qemu-system-x86_64"), (GUARDED,)
    return X86Linux(kernel("6.1-amd64"), qemu=program, append=COMMAND_LINES[shape], programs=own)


@dataclass(frozen=True)
class Listed:
    """A line of `info tlb`: a page, small or large, and the flags of its entry."""

    va: int
    pa: int
    flags: frozenset[str]


def info_tlb(guest: X86Linux) -> Iterator[Listed]:
    """Yield what QEMU's own walker lists of a stopped guest."""
    for va, pa, flags in LINE.findall(guest.monitor("info tlb")):
        named = frozenset(name for name, letter in zip(FLAGS, flags, strict=True) if letter != "-")
        yield Listed(int(va, 16), int(pa, 16), named)
