"""A real Xen for x86-64 under QEMU with a paravirtual Linux as its dom0, which has the console and the shell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gdbtools.children.processes import DIES_WITH_PARENT
from tests.guests.packages import kernel, kernel_module, xen
from tests.guests.x86.linux import X86Linux
from tests.guests.xen import UNREAD_CHARACTERS
from tests.places import ROOT

DOM0_BYTES = 256 << 20
CPU = "Haswell,-x2apic"
"""One without SMAP: QEMU 7.2 reads the frame of an iretq in user mode as the supervisor, which SMAP then refuses."""

KERNEL = "6.1-amd64-pv"
GRANTING = ROOT / "fixtures/guests/x86/linux/granting.elf"
MODULES = ("xen-privcmd", "xen-gntdev", "xen-gntalloc")
"""What a process of dom0 asks Xen by, and maps and makes grants by."""


@dataclass
class PvGuest(X86Linux):
    """A Xen that is ready as soon as its dom0's shell is."""

    patience_seconds: ClassVar[int] = 360
    unread_characters: ClassVar[int | None] = UNREAD_CHARACTERS

    cpu: str = CPU
    memory_bytes: int = 512 << 20
    options: str = ""
    """More of Xen's own."""

    def _command(self, folder: Path) -> list[str]:
        backend = f"memory-backend-file,id=ram,size={self.memory_bytes},mem-path={folder / 'ram'},share=on"
        shape = ["-M", "pc,memory-backend=ram", "-cpu", self.cpu, "-m", f"{self.memory_bytes >> 20}M"]
        shape += ["-object", backend]
        ports = ["-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"]
        ports += ["-monitor", "none", "-gdb", f"unix:{self.gdbstub},server=on,wait=off"]
        options = f"console=com1 com1=115200,8n1 dom0_mem={DOM0_BYTES >> 20}M noreboot {self.options}".strip()
        dom0 = f"{self.kernel} console=hvc0 quiet panic=-1 rdinit=/init {self.append}".strip()
        # Multiboot modules, the first of which is dom0's kernel.
        boot = ["-kernel", str(xen("amd64")), "-append", options, "-initrd", f"{dom0},{folder / 'initramfs'}"]
        devices = ["-nic", "none", "-display", "none", "-no-reboot"]
        return [*DIES_WITH_PARENT, *self.qemu.command, *shape, *devices, *ports, *boot, *self.extra]


def booted_pv() -> PvGuest:
    """Return a guest, not booted yet; raises `Unavailable` where a part of it cannot be had."""
    modules = tuple(kernel_module(KERNEL, each) for each in MODULES)
    return PvGuest(kernel(KERNEL), modules=modules, programs=(GRANTING,))
