"""What a Linux kernel for RISC-V says of its own tables, for dumps that have no CSRs.

VMCOREINFO has where the kernel's root is in its image, how far that is from where it is in memory, and the scheme by
the width of a virtual address: `SYMBOL(swapper_pg_dir)`, `NUMBER(va_kernel_pa_offset)`, `NUMBER(VA_BITS)`.  The
kernel's half is the same in every process's tables; a process's own is in its own alone.  Source: Linux,
`kernel/vmcore_info.c`, `arch/riscv/kernel/vmcore_info.c`, `arch/riscv/mm/init.c`, `arch/riscv/mm/fault.c`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Assumption, Derived, Privilege, ReadRegister
from gdbtools.arch.riscv.registers.translation import PAGE, SATP32, SATP64
from gdbtools.arch.riscv.tables.geometry import SCHEMES
from gdbtools.arch.riscv.translation.regimes import SUPERVISOR
from gdbtools.errors import GIVE_REGISTERS, Unavailable
from gdbtools.systems.linux import USERS_HELPERS, poison
from gdbtools.systems.linux.notes import number, placed
from gdbtools.systems.system import System

if TYPE_CHECKING:
    from gdbtools.systems.tasks import OwnKernel, ReadVirtual

_SATP: Final[Mapping[int, type[SATP64] | type[SATP32]]] = {64: SATP64, 32: SATP32}


def registers_of(info: Mapping[str, str], bits: int) -> Derived:
    """Derive satp of the kernel's own tables from VMCOREINFO, where MXLEN is `bits`.

    Raises `Unavailable` where what is needed is not in it, or does not go together.
    """
    symbol, offset = number(info, "SYMBOL(swapper_pg_dir)", 16), number(info, "NUMBER(va_kernel_pa_offset)")
    va_bits, release = number(info, "NUMBER(VA_BITS)"), info.get("OSRELEASE", "unknown")
    scheme = next(((mode, each) for mode, each in SCHEMES[bits].items() if each.input_bits == va_bits), None)
    if scheme is None:
        known = ", ".join(str(each.input_bits) for each in SCHEMES[bits].values())
        raise Unavailable(f"VMCOREINFO has VA_BITS={va_bits}, and schemes here have {known}; {GIVE_REGISTERS}")
    root = symbol - offset & (1 << bits) - 1
    mode, each = scheme
    if root % PAGE or root >> each.physical_bits:
        raise Unavailable(f"VMCOREINFO has swapper_pg_dir at PA {root:#x}, which no satp can hold; {GIVE_REGISTERS}")
    satp = int(_SATP[bits](0).with_(MODE=mode, PPN=root // PAGE))
    said = f"satp={satp:#x}, {each.name}: from VMCOREINFO of Linux {release}, which does not lead to a process's tables"
    places = placed(info, lambda address: address - offset & (1 << bits) - 1)
    return Derived({"satp": satp}, (Assumption("satp", said),), SUPERVISOR, places)


# KASAN_SHADOW_OFFSET.
_SHADOWS: Final = (0xDFFF_FFFF_0000_0000,)


class RiscVLinux(System):
    """Linux on RISC-V, where MXLEN is `bits`."""

    title = "Linux"
    notes_have = "NUMBER(va_kernel_pa_offset)"

    def __init__(self, bits: int) -> None:
        self.bits = bits

    users_helpers = USERS_HELPERS

    def of_address(self, address: VA) -> str:
        return poison.named(address, _SHADOWS)

    def flag_habit(self, of_kernel: bool) -> str:
        return "Linux has a handler for user addresses" + (", and dies of a kernel's" if of_kernel else "")

    def registers_from_notes(self, info: Mapping[str, str], privilege: Privilege) -> Derived:  # noqa: ARG002
        return registers_of(info, self.bits)

    def own_kernel(self, info: Mapping[str, str], read: ReadVirtual) -> OwnKernel:
        from gdbtools.systems.linux.kernel.own import OwnLinux  # only such a question needs it
        from gdbtools.systems.linux.kernel.regions import of_riscv

        return OwnLinux.of_notes(info, read, of_riscv)

    def task_registers(self, register: ReadRegister, root: PA) -> Mapping[str, int]:
        return {"satp": int(_SATP[self.bits](register("satp")).with_(PPN=root // PAGE, ASID=0))}


LINUX64: Final = RiscVLinux(64)
LINUX32: Final = RiscVLinux(32)
