"""A real Linux for riscv64: OpenSBI and Debian's kernel, with Sv57, Sv48 or Sv39 as its command line lets it choose."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar

from tests.guests.linux import LinuxGuest
from tests.guests.packages import Qemu, kernel, qemu
from tests.guests.riscv.oracle import RAM

COMMAND_LINES = {"Sv57": "", "Sv48": "no5lvl", "Sv39": "no4lvl"}
"""What has Linux use each scheme on a hart that has all."""
LINE = re.compile(r"^([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{16}) ([rwxugad-]+)\r?$", re.MULTILINE)
PA_MASK = (1 << 56) - 1
PAGE_BYTES = 4096


@dataclass
class RiscvLinux(LinuxGuest):
    """As `LinuxGuest`; nothing of exception levels applies."""

    architecture: ClassVar[str] = "riscv64"
    console: ClassVar[str] = "ttyS0"
    ram_base: ClassVar[int] = RAM

    cpu: str = "rv64"
    qemu: Qemu = field(default_factory=lambda: qemu("system", "qemu-system-riscv64"))


@dataclass(frozen=True)
class Listed:
    """A line of `info mem`: a range that is mapped contiguously, and what its leaves say."""

    first: int
    pa: int
    size_bytes: int
    rights: str


def booted(scheme: str, name: str = "system") -> RiscvLinux:
    """Return a guest, not booted yet; raises `Unavailable` where a part of it cannot be had."""
    return RiscvLinux(kernel("6.12-riscv64"), qemu=qemu(name, "qemu-system-riscv64"), append=COMMAND_LINES[scheme])


def info_mem(guest: RiscvLinux) -> list[Listed]:
    """Return what QEMU's own walker lists of a stopped guest; 10.0 prints PBMT as part of the address."""
    found = LINE.findall(guest.monitor("info mem"))
    return [Listed(int(va, 16), int(pa, 16) & PA_MASK, int(size, 16), rights) for va, pa, size, rights in found]


def pages(listed: list[Listed]) -> dict[int, int]:
    """Return where each page leads."""
    return {each.first + at: each.pa + at for each in listed for at in range(0, each.size_bytes, PAGE_BYTES)}
