"""What may be known of one system on one architecture.  Each answer may be absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gdbtools.addresses import PA, VA
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.isolation import Isolation, Switch
from gdbtools.arch.model import Derived, EntryNeed, Privilege, Read, ReadRegister, Regime, Step, Syndrome
from gdbtools.systems.guest_frames import GuestFrames

if TYPE_CHECKING:
    from gdbtools.systems.tasks import OwnKernel, ReadVirtual


class System:
    """A system of which nothing is known: what is, a subclass says."""

    title: str = ""
    dirty: DirtyConvention | None = None
    """How it marks what was written, None where that is not known."""
    left_in_address: str = ""
    """The general register of a process that its way out to a reduced space leaves in the fault address register."""
    spent_at_entry: frozenset[str] = frozenset()
    """The general registers that its way in from a reduced space has used before it is at its own vector entry."""

    users_helpers: str = ""
    """What its kernel has for accesses to a process's memory, in a few words."""
    fresh: frozenset[int] = frozenset()
    """What its hypervisor has in a new guest's registers until the guest writes them."""

    def flag_habit(self, of_kernel: bool) -> str:  # noqa: ARG002
        """Return who sets an access flag that is found clear, in a few words: a kernel's own, or a process's."""
        return ""

    def convention(self, found: Syndrome, register: ReadRegister | None) -> str:  # noqa: ARG002
        """Return what a call or a breakpoint instruction is for; empty where this system has no such convention."""
        return ""

    def of_entry(self, address: VA, step: Step) -> str:  # noqa: ARG002
        """Return what the bits that are software's say of an entry on the way of an address; empty where nothing does.

        That is of one that is not valid, or of what withholds a right.
        """
        return ""

    def of_address(self, address: VA) -> str:  # noqa: ARG002
        """Return what no pointer ought to be and this address is, by the system's own list; empty for any other."""
        return ""

    def of_leaf(self, step: Step, register: ReadRegister, read: Read) -> str:  # noqa: ARG002
        """Return what the bits that are software's say of a leaf; empty where nothing does, or it is not there."""
        return ""

    def presence(self, register: ReadRegister, read: Read) -> str:  # noqa: ARG002
        """Return what of the tables in force shows that it is this system; empty where nothing does."""
        return ""

    def registers_from_notes(self, info: Mapping[str, str], privilege: Privilege) -> Derived | None:  # noqa: ARG002
        """Return the registers that VMCOREINFO implies, None for a system that writes none."""
        return None

    notes_have: str = ""
    """What VMCOREINFO has of its kernel on this architecture, and on no other."""

    def own_kernel(self, info: Mapping[str, str], read: ReadVirtual) -> OwnKernel | None:  # noqa: ARG002
        """Return the kernel that wrote VMCOREINFO, None for a system that is not read by its own memory."""
        return None

    def task_registers(self, register: ReadRegister, root: PA) -> Mapping[str, int]:  # noqa: ARG002
        """Return the registers by which the process whose root table is there runs; none where that is not known."""
        return {}

    def full_roots(self, register: ReadRegister, reduced: Regime, name: str | None) -> Sequence[Switch]:  # noqa: ARG002
        """Return where the full root may be while a reduced one is in force, for vectors that cannot be read."""
        return ()

    def reduced_roots(self, register: ReadRegister, full: Regime) -> Sequence[Mapping[str, int]]:  # noqa: ARG002
        """Return registers that lead to where the reduced root may be of the full one in force."""
        return ()

    def reduced_root(self, root: PA, root_bytes: int) -> PA | None:  # noqa: ARG002
        """Return where the reduced root of a process is kept, if it has one, by its full one."""
        return None

    def entry_needs(self, register: ReadRegister) -> Sequence[EntryNeed]:  # noqa: ARG002
        """Return what the system's own handler touches before it has saved what an exception interrupted."""
        return ()

    def guest_frames(self, register: ReadRegister, read: Read) -> GuestFrames | None:  # noqa: ARG002
        """Return the paravirtual guest whose tables are in force; None where it has no such guests, or is not there."""
        return None

    def isolation(self, register: ReadRegister, read: Read) -> Isolation | None:  # noqa: ARG002
        """Return what is known of the full space, where the system itself keeps two roots for its guests' processes."""
        return None
