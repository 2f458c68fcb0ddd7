"""A real 32-bit Linux: Debian's armmp kernel, which uses short descriptors, or armmp-lpae, which uses long ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tests.guests.linux import LinuxGuest
from tests.guests.packages import Qemu, kernel, qemu

KERNELS = {"short": "6.1-armmp", "long": "6.1-armmp-lpae"}
"""By the format of the tables."""
PAGE_BYTES = 4096
LINEAR = 0xC0000000
"""Where the kernel's half begins."""


@dataclass
class ArmLinux(LinuxGuest):
    """As `LinuxGuest`; nothing of exception levels applies."""

    architecture: ClassVar[str] = "armhf"
    machine: ClassVar[str] = "virt,highmem=off"

    cpu: str = "cortex-a15"
    qemu: Qemu = field(default_factory=lambda: qemu("system", "qemu-system-arm"))


def booted(form: str) -> ArmLinux:
    """Return a guest, not booted yet; raises `Unavailable` where a part of it cannot be had."""
    return ArmLinux(kernel(KERNELS[form]))
