"""Xen on x86-64, by the paravirtual guests that it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.isolation import Isolation, Switch
from gdbtools.arch.model import Read, ReadRegister, Run
from gdbtools.arch.scan import scan
from gdbtools.systems.system import System
from gdbtools.systems.xen import layout
from gdbtools.systems.xen.paravirtual import XenGuest, find, recognized


class X86Xen(System):
    """Xen on x86-64."""

    title = "Xen"

    def guest_frames(self, register: ReadRegister, read: Read) -> XenGuest | None:
        upper = recognized(register, read)
        return None if upper is None else find(upper, register, read)

    def isolation(self, register: ReadRegister, read: Read) -> Isolation | None:
        """Return what is known of the kernel's root while a process runs: its guest's kernel is in another one."""
        upper = recognized(register, read)
        guest = None if upper is None else find(upper, register, read)
        if upper is None or guest is None or not guest.is_reduced:
            return None
        found = scan(upper, read, *layout.GUEST[1])
        leaves = sum(each.leaves for each in found if isinstance(each, Run))
        root = guest.kernel.get("cr3")
        if root is None:
            why = "no root of this process has the guest's kernel in it"
            return Isolation(upper, leaves, None, None, (why,), {}, of_guest=True)
        said = f"{guest.name}'s kernel has its own root, which Xen keeps beside that of its processes"
        evidence = (
            f"{said}, at PA {root:#x}",
            "both are root tables of this guest by Xen's records of frames, and of one virtual CPU",
            "their lower halves lead to the same tables",
        )
        full = replace(upper, root=PA(root))
        return Isolation(upper, leaves, full, Switch({"cr3": root}, {}, said), evidence, {}, of_guest=True)


XEN: Final = X86Xen()
