"""What Linux on x86-64 says of its own tables, and where it keeps the two roots of a process under isolation.

VMCOREINFO has where the kernel's root is in its image, how far that is from where it is in memory, and whether there
are five levels: `SYMBOL(init_top_pgt)`, `NUMBER(phys_base)`, `NUMBER(pgtable_l5_enabled)`.  Source: Linux,
`kernel/vmcore_info.c`, `arch/x86/kernel/vmcore_info_64.c`, `arch/x86/include/asm/page_64_types.h`
(`__START_KERNEL_map`).

Under page-table isolation the roots of a process are a pair of pages, the full root in the lower and the process's in
the upper: bit 12 of cr3 chooses, and bit 11, where there are process-context identifiers.  Source: Linux,
`arch/x86/mm/pti.c`, `arch/x86/entry/calling.h`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.isolation import Switch
from gdbtools.arch.model import Derived, Privilege, ReadRegister, Regime, Step
from gdbtools.arch.x86_64.registers.control import CR4, PAGE
from gdbtools.arch.x86_64.tables.descriptors import PresentEntry
from gdbtools.arch.x86_64.tables.geometry import LEVELS_4, LEVELS_5, PHYSICAL_BITS
from gdbtools.arch.x86_64.translation import root_registers
from gdbtools.errors import GIVE_REGISTERS, Unavailable
from gdbtools.systems.linux import USERS_HELPERS, poison, x86_64_entries
from gdbtools.systems.linux.notes import number, placed
from gdbtools.systems.system import System

if TYPE_CHECKING:
    from gdbtools.systems.tasks import OwnKernel, ReadVirtual

_ADDRESSES: Final = 1 << 64
_IMAGE: Final = _ADDRESSES - (1 << 31)
"""`__START_KERNEL_map`: what the image is linked above."""
# KASAN_SHADOW_OFFSET, of four levels and of five.
_SHADOWS: Final = (0xDFFF_FC00_0000_0000,)
_UPPER_PAGE: Final = 1 << 12
_USERS_IDENTIFIER: Final = 1 << 11


def registers_of(info: Mapping[str, str]) -> Derived:
    """Derive cr3 of the kernel's own tables, and the controls that go with it, from VMCOREINFO.

    Raises `Unavailable` where what is needed is not in it, does not go together, or says that memory is encrypted.
    """
    symbol, base = number(info, "SYMBOL(init_top_pgt)", 16), number(info, "NUMBER(phys_base)")
    mode = LEVELS_5 if number(info, "NUMBER(pgtable_l5_enabled)") else LEVELS_4
    release = info.get("OSRELEASE", "unknown")
    encrypted = number(info, "NUMBER(sme_mask)") if "NUMBER(sme_mask)" in info else 0
    if encrypted:
        raise Unavailable(
            f"VMCOREINFO has sme_mask={encrypted:#x}: entries carry that bit of encrypted memory; {GIVE_REGISTERS}"
        )
    offset, image_bytes = number(info, "KERNELOFFSET", 16), number(info, "NUMBER(KERNEL_IMAGE_SIZE)")
    if not _IMAGE + offset <= symbol < _IMAGE + image_bytes:
        raise Unavailable(
            f"VMCOREINFO has init_top_pgt at {symbol:#x}, which is not in an image that was moved by {offset:#x}; "
            f"{GIVE_REGISTERS}"
        )
    root = _placed(symbol, base)
    if root % PAGE or root >> PHYSICAL_BITS:
        raise Unavailable(f"VMCOREINFO has init_top_pgt at PA {root:#x}, which no cr3 can hold; {GIVE_REGISTERS}")
    why = f"from VMCOREINFO of Linux {release}, which does not lead to a process's tables"
    found = root_registers.derived(mode, root, why)
    places = {VA(symbol): root, **placed(info, lambda address: _placed(address, base))}
    return replace(found, places=places)


def _placed(address: int, base: int) -> PA:
    """Return where an address of the image is in memory: `phys_base` may be less than nothing."""
    return PA(address - _IMAGE + base & _ADDRESSES - 1)


class X86Linux(System):
    """Linux on x86-64."""

    title = "Linux"
    notes_have = "SYMBOL(init_top_pgt)"

    users_helpers = USERS_HELPERS

    def of_address(self, address: VA) -> str:
        return poison.named(address, _SHADOWS)

    def of_entry(self, address: VA, step: Step) -> str:
        word = int(step.entry.word)
        if not PresentEntry.P.of(word):
            return x86_64_entries.absent(address, word, step.level.number)
        return x86_64_entries.withheld(address, word) if step.is_leaf else ""

    def registers_from_notes(self, info: Mapping[str, str], privilege: Privilege) -> Derived:  # noqa: ARG002
        return registers_of(info)

    def own_kernel(self, info: Mapping[str, str], read: ReadVirtual) -> OwnKernel:
        from gdbtools.systems.linux.kernel.own import OwnLinux  # only such a question needs it
        from gdbtools.systems.linux.kernel.regions import of_x86_64

        return OwnLinux.of_notes(info, read, of_x86_64)

    def task_registers(self, register: ReadRegister, root: PA) -> Mapping[str, int]:  # noqa: ARG002
        return {"cr3": int(root)}

    def full_roots(self, register: ReadRegister, reduced: Regime, name: str | None) -> Sequence[Switch]:  # noqa: ARG002
        cr3 = register("cr3")
        if not cr3 & _UPPER_PAGE:
            return ()
        identified = _USERS_IDENTIFIER if CR4(register("cr4")).PCIDE else 0
        said = "Linux keeps the full root in the page below, which cr3 leads to without its bit 12"
        return (Switch({"cr3": cr3 & ~(_UPPER_PAGE | identified)}, {}, said),)

    def reduced_root(self, root: PA, root_bytes: int) -> PA | None:
        return PA(root + root_bytes) if not root & _UPPER_PAGE and root_bytes == PAGE else None


LINUX: Final = X86Linux()
