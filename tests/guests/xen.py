"""A real Xen under QEMU with a Linux as its dom0, which has the console and the shell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gdbtools.children.processes import DIES_WITH_PARENT
from tests.guests.linux import LinuxGuest
from tests.guests.packages import xen

UNREAD_CHARACTERS = 128
"""What Xen keeps of what is typed until dom0 reads it (SERIAL_RING_SIZE in its console.c); the rest is dropped."""
DOM0_BYTES = 256 << 20
KERNEL_AT, INITRD_AT = 0x6000_0000, 0x6400_0000
"""Where QEMU puts dom0's parts, and tells Xen so in the device tree."""


@dataclass
class XenGuest(LinuxGuest):
    """A Xen that is ready as soon as its dom0's shell is."""

    unread_characters: ClassVar[int | None] = UNREAD_CHARACTERS

    memory_bytes: int = 768 << 20
    dom0_bytes: int = DOM0_BYTES
    version: str = "4.17"
    """Of `XENS`."""

    def _command(self, folder: Path) -> list[str]:
        machine = "virt,virtualization=on,gic-version=3,memory-backend=ram"
        backend = f"memory-backend-file,id=ram,size={self.memory_bytes},mem-path={folder / 'ram'},share=on"
        shape = ["-M", machine, "-cpu", self.cpu, "-m", f"{self.memory_bytes >> 20}M", "-object", backend]
        ports = ["-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"]
        ports += ["-monitor", "none", "-gdb", f"unix:{self.gdbstub},server=on,wait=off"]
        options = f"dom0_mem={self.dom0_bytes >> 20}M console=dtuart sync_console"
        boot = ["-kernel", str(xen(version=self.version)), "-append", options]
        dom0 = f"guest-loader,addr={KERNEL_AT:#x},kernel={self.kernel},bootargs=console=hvc0 quiet rdinit=/init"
        initrd = f"guest-loader,addr={INITRD_AT:#x},initrd={folder / 'initramfs'}"
        devices = ["-nic", "none", "-display", "none", "-no-reboot", "-device", dom0, "-device", initrd]
        return [*DIES_WITH_PARENT, *self.qemu.command, *shape, *devices, *ports, *boot, *self.extra]
