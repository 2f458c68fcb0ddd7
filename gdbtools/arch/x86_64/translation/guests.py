"""A guest of VMX or SVM: its second stage has its root in a VMCS or a VMCB, which no register leads to.

Source: Intel SDM volume 3, "Virtual-Machine Control Data Structures"; AMD64 APM volume 2, "VMCB".
"""

from __future__ import annotations

from collections.abc import Mapping

from gdbtools.arch.guests import GuestRegisters, LoadedGuest
from gdbtools.arch.model import ReadRegister, optional
from gdbtools.arch.x86_64.translation.hypervisor import NPT, ROOTS, stage
from gdbtools.errors import Unavailable

UNKNOWN = (
    "no register says which guests there are: the root of a second stage is in a VMCB (ncr3) or a VMCS (eptp), and the "
    "processor keeps to itself where that is; give it: --with ncr3=0x... or --with eptp=0x..., or --regime npt|ept "
    "--root 0x..."
)
NO_CR3 = (
    "a guest's cr3 is in its {}, and no register shows it; give it: --with cr3=0x... beside the second stage's root"
)


class VirtualMachines(GuestRegisters):
    """Guests of VMX root mode, or of an SVM host, as far as somebody says which."""

    identifier = "VPID or ASID"
    kept_root = "cr3"

    def stage(self, register: ReadRegister) -> str:
        known = [name for name, holder in ROOTS.items() if optional(register, holder) is not None]
        if not known:
            raise Unavailable(UNKNOWN)
        return known[0]

    def loaded(self, register: ReadRegister) -> LoadedGuest | None:
        """Return the guest whose root somebody has given."""
        name = self.stage(register)
        holder = "VMCB" if name == NPT else "VMCS"
        why = f"whether it runs is not known: {ROOTS[name]} is a field of its {holder}"
        return LoadedGuest(stage(register, name), None, None, why)

    def entered(self, register: ReadRegister) -> Mapping[str, int]:
        """Refuse: cr3 is the hypervisor's own, and the guest's is kept with its second stage."""
        raise Unavailable(NO_CR3.format("VMCB" if self.stage(register) == NPT else "VMCS"))

    def alone(self, register: ReadRegister) -> Mapping[str, int]:
        return self.entered(register)
