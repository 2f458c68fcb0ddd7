"""Whose code runs there: what is known of operating systems, hypervisors, and the conventions of calls and traps.

Listed here by architecture; asked all together, and each answers only what it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.capabilities import Architecture, DirtyConvention
from gdbtools.arch.model import Derived, EntryNeed, ExceptionRecord, Privilege, Read, ReadRegister, Step, Syndrome
from gdbtools.errors import Unavailable
from gdbtools.systems.guest_frames import GuestFrames
from gdbtools.systems.kept_guests import KeptGuest
from gdbtools.systems.system import System

if TYPE_CHECKING:
    from gdbtools.systems.crash import Grammar
    from gdbtools.systems.device_trees import TreeMarks
    from gdbtools.systems.qemu.exceptions import LogGrammar
    from gdbtools.systems.tasks import OwnKernel, ReadVirtual


def _aarch64() -> Sequence[System]:
    from gdbtools.systems.immediates.aarch64 import IMMEDIATES
    from gdbtools.systems.linux.aarch64 import LINUX
    from gdbtools.systems.osv.aarch64 import OSV

    return LINUX, OSV, IMMEDIATES


def _riscv64() -> Sequence[System]:
    from gdbtools.systems.linux.riscv import LINUX64

    return (LINUX64,)


def _riscv32() -> Sequence[System]:
    from gdbtools.systems.linux.riscv import LINUX32

    return (LINUX32,)


def _x86_64() -> Sequence[System]:
    from gdbtools.systems.illumos.x86_64 import ILLUMOS
    from gdbtools.systems.linux.x86_64 import LINUX

    return *hypervisors_of("x86_64"), LINUX, ILLUMOS


def _hypervisors_of_x86_64() -> Sequence[System]:
    from gdbtools.systems.xen.x86_64 import XEN

    return (XEN,)


_KNOWN: Final[Mapping[str, Callable[[], Sequence[System]]]] = {
    "aarch64": cache(_aarch64),
    "riscv64": cache(_riscv64),
    "riscv32": cache(_riscv32),
    "x86_64": cache(_x86_64),
}


_HYPERVISORS: Final[Mapping[str, Callable[[], Sequence[System]]]] = {"x86_64": cache(_hypervisors_of_x86_64)}
"""Whose guests may share a machine's own memory: only these are asked for such a guest, which every walk does."""


KeptGuests = Callable[[ReadRegister, Read, Sequence[tuple[PA, int]], Collection[int]], Sequence[KeptGuest]]


def _keeping_on_aarch64() -> Sequence[KeptGuests]:
    from gdbtools.systems.aarch64 import KEEPING

    return KEEPING


_KEEPING: Final[Mapping[str, Callable[[], Sequence[KeptGuests]]]] = {"aarch64": cache(_keeping_on_aarch64)}
"""Hypervisors whose own structures tell of their guests: asked where guests are asked for, and nowhere else."""


def kept_guests(
    architecture: Architecture,
    register: ReadRegister,
    read: Read,
    data: Sequence[tuple[PA, int]],
    roots: Collection[int],
) -> Sequence[KeptGuest]:
    """Return the guests that the hypervisor there keeps; nothing where no structure of one that is known is found.

    `data` is where memory has anything, (physical address, size in bytes), and `roots` are those of second stages that
    are known: they are what such structures are found by.
    """
    known = _KEEPING.get(architecture.name)
    found = (each(register, read, data, roots) for each in known()) if known is not None and roots else ()
    return next(filter(None, found), ())


def tree_marks() -> Sequence[TreeMarks]:
    """Return what hypervisors write into the device trees of their guests, and what they are told in their own."""
    from gdbtools.systems.xen.device_tree import MARKS

    return (MARKS,)


def hypervisors_of(name: str) -> Sequence[System]:
    """Return what is known of the hypervisors with paravirtual guests, on the architecture of that name."""
    known = _HYPERVISORS.get(name)
    return known() if known is not None else ()


def crash_grammars() -> Sequence[Grammar]:
    """Return what is known of the lines that systems print when they crash; the last resorts come last."""
    from gdbtools.systems.edk2.crashes import aarch64 as edk2_on_aarch64
    from gdbtools.systems.edk2.crashes import x86_64 as edk2_on_x86_64
    from gdbtools.systems.freebsd.crashes import aarch64 as freebsd
    from gdbtools.systems.hafnium.crashes import aarch64 as hafnium
    from gdbtools.systems.illumos.crashes import aarch64 as illumos_on_aarch64
    from gdbtools.systems.illumos.crashes import x86_64 as illumos_on_x86_64
    from gdbtools.systems.linux.crashes import other as other_of_linux
    from gdbtools.systems.linux.crashes import riscv as linux_on_riscv
    from gdbtools.systems.linux.crashes import x86_64 as linux_on_x86_64
    from gdbtools.systems.linux.crashes.aarch64 import crash as linux_on_aarch64
    from gdbtools.systems.linux.crashes.aarch64 import kvm
    from gdbtools.systems.m1n1.crashes import aarch64 as m1n1
    from gdbtools.systems.op_tee.crashes import aarch64 as op_tee
    from gdbtools.systems.osv.crashes import aarch64 as osv_on_aarch64
    from gdbtools.systems.osv.crashes import x86_64 as osv_on_x86_64
    from gdbtools.systems.sel4.crashes import aarch64 as sel4
    from gdbtools.systems.solo5.crashes import aarch64 as solo5
    from gdbtools.systems.tf_a.crashes import aarch64 as tf_a
    from gdbtools.systems.u_boot.crashes import aarch64 as u_boot
    from gdbtools.systems.xen.crashes import x86_64 as xen_on_x86_64
    from gdbtools.systems.xen.crashes.aarch64 import crash as xen_on_aarch64
    from gdbtools.systems.xen.crashes.aarch64 import second_stage as xens_second_stage
    from gdbtools.systems.xnu.crashes import aarch64 as xnu
    from gdbtools.systems.zephyr.crashes import aarch64 as zephyr

    return (
        linux_on_aarch64.GRAMMAR,
        kvm.GRAMMAR,
        linux_on_riscv.GRAMMAR,
        linux_on_x86_64.GRAMMAR,
        xen_on_aarch64.GRAMMAR,
        osv_on_aarch64.GRAMMAR,
        osv_on_x86_64.GRAMMAR,
        freebsd.GRAMMAR,
        solo5.GRAMMAR,
        m1n1.GRAMMAR,
        xnu.GRAMMAR,
        sel4.GRAMMAR,
        illumos_on_aarch64.GRAMMAR,
        illumos_on_x86_64.GRAMMAR,
        hafnium.GRAMMAR,
        xens_second_stage.GRAMMAR,
        xen_on_x86_64.GRAMMAR,
        u_boot.GRAMMAR,
        tf_a.GRAMMAR,
        edk2_on_aarch64.GRAMMAR,
        edk2_on_x86_64.GRAMMAR,
        op_tee.GRAMMAR,
        zephyr.GRAMMAR,
        other_of_linux.GRAMMAR,
    )


def exception_logs() -> Sequence[LogGrammar]:
    """Return what is known of the logs of exceptions that an emulator writes."""
    from gdbtools.systems.qemu import aarch64, riscv, x86_64

    return aarch64.GRAMMAR, riscv.GRAMMAR, x86_64.GRAMMAR


def systems_of(architecture: Architecture) -> Sequence[System]:
    """Return what is known of the systems that run on an architecture."""
    known = _KNOWN.get(architecture.name)
    return known() if known is not None else ()


def guest_frames(architecture: Architecture, register: ReadRegister, read: Read) -> GuestFrames | None:
    """Return the paravirtual guest whose tables are in force; None where there is none.

    Raises `Unavailable` where there is one of which not all is found, `Unreadable` where memory does not have that.
    """
    found = (each.guest_frames(register, read) for each in hypervisors_of(architecture.name))
    return next((each for each in found if each is not None), None)


def convention(architecture: Architecture, found: Syndrome, register: ReadRegister | None = None) -> str:
    """Return what a call or a breakpoint instruction is for, and by whose convention; empty where nobody knows.

    `register` is given where the general registers are still those of the instruction.
    """
    return next(filter(None, (each.convention(found, register) for each in systems_of(architecture))), "")


def of_entry(architecture: Architecture, address: VA, step: Step) -> str:
    """Return what software's own bits say of an entry by each system's convention, and by whose; else empty."""
    told = ((each.title, each.of_entry(address, step)) for each in systems_of(architecture))
    return ", ".join(f"by {title}'s convention: {said}" for title, said in told if said)


def of_address(architecture: Architecture, system: str, address: VA) -> str:
    """Return what an address is by the list of the system of that name, and is no pointer; empty for any other."""
    return next(filter(None, (each.of_address(address) for each in _named(architecture, system))), "")


def users_helpers(architecture: Architecture, system: str) -> str:
    """Return what the kernel of the system of that name has for accesses to a process's memory."""
    return next(filter(None, (each.users_helpers for each in _named(architecture, system))), "")


def _named(architecture: Architecture, system: str) -> Sequence[System]:
    return [each for each in systems_of(architecture) if each.title and system.startswith(each.title)]


def of_leaf(architecture: Architecture, step: Step, register: ReadRegister, read: Read) -> str:
    """Return what software's own bits say of a leaf by the convention of a system that is there, and by whose."""
    told = ((each.title, each.of_leaf(step, register, read)) for each in systems_of(architecture))
    return ", ".join(f"by {title}'s convention: {said}" for title, said in told if said)


def present(architecture: Architecture, register: ReadRegister, read: Read) -> Mapping[str, str]:
    """Return the systems that the tables in force are shown to be of, each with what shows it."""
    shown = {each.title: each.presence(register, read) for each in systems_of(architecture)}
    return {title: said for title, said in shown.items() if said}


def registers_from_notes(architecture: Architecture, info: Mapping[str, str], privilege: Privilege) -> Derived:
    """Return the registers that a crash's own notes, VMCOREINFO, imply for CPUs at that level of privilege or below.

    Raises `Unavailable` where they do not say enough, or no system that is known here writes any.
    """
    for each in systems_of(architecture):
        derived = each.registers_from_notes(info, privilege)
        if derived is not None:
            return derived
    raise Unavailable(f"nothing that is known of {architecture.identity.title} here derives registers from VMCOREINFO")


def architecture_of_notes(info: Mapping[str, str]) -> str | None:
    """Return the name of the architecture whose kernel wrote VMCOREINFO; None where nothing in it says so."""
    for name, systems in _KNOWN.items():
        if any(each.notes_have and each.notes_have in info for each in systems()):
            return name
    return None


def own_kernel(architecture: Architecture, info: Mapping[str, str], read: ReadVirtual) -> OwnKernel:
    """Return the kernel that wrote VMCOREINFO, as its memory shows it; raise `Unavailable` for what does not hold."""
    for each in systems_of(architecture):
        found = each.own_kernel(info, read)
        if found is not None:
            return found
    raise Unavailable(f"no kernel that is known here on {architecture.identity.title} is read by its own memory")


def task_registers(architecture: Architecture, register: ReadRegister, root: PA) -> Mapping[str, int]:
    """Return the registers by which a process's own tables are in force, for the first system that says so."""
    for each in systems_of(architecture):
        found = each.task_registers(register, root)
        if found:
            return found
    raise Unavailable(f"nothing here says how a process's tables are loaded on {architecture.identity.title}")


def reduced_root(architecture: Architecture, root: PA, root_bytes: int) -> PA | None:
    """Return where the first system that says so keeps the reduced root of a process, by its full one."""
    said = (each.reduced_root(root, root_bytes) for each in systems_of(architecture))
    return next((each for each in said if each is not None), None)


def flag_habits(architecture: Architecture, of_kernel: bool) -> str:
    """Return who sets an access flag that is found clear, by the habit of each system that is known; else empty."""
    return ", ".join(filter(None, (each.flag_habit(of_kernel) for each in systems_of(architecture))))


def untaken(architecture: Architecture, exception: ExceptionRecord) -> str:
    """Return what shows that no exception has been taken since reset; empty where nothing does."""
    if exception.untaken:
        return f"{', '.join(exception.untaken)} are 0"
    word, names = int(exception.syndrome.word), exception.names
    if exception.return_address != 0 or exception.state:
        return ""
    by = next((each.title for each in systems_of(architecture) if word in each.fresh), "")
    what = f"{names.syndrome} is {word:#x}, as a hypervisor of {by}'s leaves it in a new guest"
    return f"{what}, and {names.return_address} is 0" if by else ""


def left_in_address(architecture: Architecture) -> Mapping[str, str]:
    """Return the register that each system leaves in the fault address register on its way to a reduced space."""
    return {each.title: each.left_in_address for each in systems_of(architecture) if each.left_in_address}


def spent_at_entry(architecture: Architecture) -> frozenset[str]:
    """Return the general registers that may not be the process's any more where a system's own vector entry is."""
    return frozenset().union(*(each.spent_at_entry for each in systems_of(architecture)))


def dirty_conventions(architecture: Architecture) -> Mapping[str, DirtyConvention]:
    """Return how each system that is known marks what was written."""
    return {each.title: each.dirty for each in systems_of(architecture) if each.dirty is not None}


def entry_needs(architecture: Architecture, register: ReadRegister) -> Sequence[EntryNeed]:
    """Return what taking an exception touches, by the architecture's account and by each system's own."""
    own = architecture.repair.entry_needs(register)
    return [*own, *(need for each in systems_of(architecture) for need in each.entry_needs(register))]
