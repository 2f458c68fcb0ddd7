"""What may be borrowed of x86-64's guests, in long mode: an invalidation is of its own CPU, and CPL 0's alone.

No instruction reaches another CPU's TLB, which is software's to ask for, by an interrupt.

Source: Intel SDM volume 3, "Operations that Invalidate TLBs and Paging-Structure Caches", "Process-Context Identifiers
(PCIDs)", "Use of Global Pages".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gdbtools.addresses import PA, VA, Output
from gdbtools.arch.gadgets import Borrowable, Claim, Extent, Gadgets, GadgetWords, MaintenanceBarrier, Scope
from gdbtools.arch.model import Access, AccessKind, Fault, ReadRegister
from gdbtools.arch.x86_64.exceptions import entering
from gdbtools.arch.x86_64.instructions import encodings
from gdbtools.arch.x86_64.registers.control import CR3, CR4, CR3WithPCID
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.errors import Refused

_READ, _WRITE = AccessKind.READ, AccessKind.WRITE
_NO_TRANSLATION: Final = "x86-64 has no instruction that translates without an access; ask by a load"
NO_FLUSH: Final = 1 << 63
"""In what is moved to cr3 while PCIDs are used: nothing is invalidated."""


class BorrowedInstructions(Gadgets):
    """What may be borrowed in long mode."""

    words = GadgetWords("invlpg", "iretq", identifier="PCID")
    alignment_bytes = 1
    returns = (encodings.IRETQ,)
    overwritten = ("eflags", "cr2")

    def barriers(self) -> Sequence[MaintenanceBarrier]:
        """Each of these invalidations serializes."""
        return ()

    def invalidations(self, scope: Scope, register: ReadRegister, regime: str | None = None) -> Sequence[Borrowable]:  # noqa: ARG002
        _only_long_mode(register)
        if regimes.privilege(register).is_user:
            raise Refused(
                "the CPU is at CPL 3, where nothing privileged can be borrowed; stop in the kernel, or have QEMU empty "
                "its own TLBs: --outside"
            )
        cr3, cr4 = register("cr3") & ~NO_FLUSH, CR4(register("cr4"))
        # It invalidates everything, of every PCID and what is global, whichever way it changes.
        changed = (int(cr4.with_(PGE=1 - cr4.PGE)), int(cr4))
        everything = encodings.to_control(4, changed, Extent.ALL, int(scope.extent is not Extent.ALL))
        if scope.extent is Extent.ADDRESS:
            others = "entries of other PCIDs stay (cr4.PCIDE is 1), unless they are global" if cr4.PCIDE else ""
            return [encodings.invlpg(scope.value, others), everything]
        if scope.extent is Extent.ADDRESS_SPACE:
            if not cr4.PCIDE and scope.value:
                raise Refused("cr4.PCIDE is 0, so that all translations have PCID 0; invalidate an address, or all")
            current = CR3WithPCID(cr3).PCID if cr4.PCIDE else 0
            if scope.value != current:
                return [everything]
            kept = "global entries stay (cr4.PGE is 1): `mmu tlbi all` invalidates them too" if cr4.PGE else ""
            return [encodings.to_control(3, (int(CR3(cr3)),), Extent.ADDRESS_SPACE, 0, kept), everything]
        return [everything]

    def address_space_bits(self, register: ReadRegister, regime: str | None = None) -> int:  # noqa: ARG002
        return CR3WithPCID.PCID.width

    def accesses(self, access: Access, address: VA, register: ReadRegister) -> Sequence[Borrowable]:
        _only_long_mode(register)
        if access.kind not in (_READ, _WRITE):
            raise Refused("an execution cannot be tried without doing what is there; ask for read or write")
        if access.unprivileged:
            raise Refused("no load here is checked as a user's; stop in user mode and ask there")
        refused = regimes.regime(register).admit(address)
        if refused is not None:
            raise Refused(f"{address:#x} is not canonical: an access raises #GP, which is not returned from here")
        return list(encodings.transfers(access.kind is _READ, address))

    def translations(self, access: Access, address: VA, register: ReadRegister) -> Sequence[Borrowable]:  # noqa: ARG002
        raise Refused(_NO_TRANSLATION)

    def translated(self, address: VA, register: ReadRegister) -> Output | Fault:  # noqa: ARG002
        raise Refused(_NO_TRANSLATION)

    def entered(self, register: ReadRegister, regime: str | None = None) -> Sequence[ReadRegister]:  # noqa: ARG002
        return [entering.entered(register)]

    def pushed(self, register: ReadRegister) -> Sequence[tuple[PA, int]]:
        """The frame, on whichever stack."""
        return entering.frame_memory(register)

    def claim(self, register: ReadRegister) -> Claim | None:  # noqa: ARG002
        """What a page fault overwrites is put back: this stub lets cr2 be written, and the stack is memory."""
        return None


def _only_long_mode(register: ReadRegister) -> None:
    if not regimes.efer(register).LMA:
        raise Refused("the CPU is not in long mode, and only there instructions are borrowed")
