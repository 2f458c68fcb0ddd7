"""What a Linux kernel calls the parts of its own half of the address space.

Source: Linux, `Documentation/arch/arm64/memory.rst`, `Documentation/arch/riscv/vm-layout.rst`, `Documentation/arch/
x86/x86_64/mm.rst`; where they are in this very kernel, its VMCOREINFO (`arch/*/kernel/vmcore_info.c`) and, on x86-64,
the variables that its randomization has set (`arch/x86/mm/kaslr.c`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from gdbtools.addresses import VA
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.linux.kernel.kernel import IMAGE_BYTES, Kernel
from gdbtools.systems.linux.notes import number
from gdbtools.systems.tasks import KernelRegion
from gdbtools.units import PAGE_BYTES

Layout = Callable[[Kernel], Iterator[KernelRegion]]
"""Yield the regions of an architecture's kernel, what lies in another in front of that."""

_ADDRESSES: Final = 1 << 64
_BETWEEN: Final = (("MODULES_VADDR", "MODULES_END", "modules"), ("VMALLOC_START", "VMALLOC_END", "vmalloc"))
_PAGES: Final = ("VMEMMAP_START", "VMEMMAP_END", "vmemmap, the array of struct page")
LINEAR_MAP: Final = "linear map"
_TERABYTE: Final = 1 << 40
_X86_FIXED: Final = (
    (0xFFFF_FE00_0000_0000, 0xFFFF_FE80_0000_0000, "cpu_entry_area"),
    (0xFFFF_FF00_0000_0000, 0xFFFF_FF80_0000_0000, "espfix stacks"),
    (0xFFFF_FFEF_0000_0000, 0xFFFF_FFFF_0000_0000, "EFI"),
)
_X86_TEXT: Final = 0xFFFF_FFFF_8000_0000
_X86_MODULES: Final = 0xFFFF_FFFF_C000_0000
_X86_FIXMAP: Final = 0xFFFF_FFFF_FF00_0000
"""Modules end where fixmap may begin, of a kernel whose own image may be moved (CONFIG_RANDOMIZE_BASE)."""


def regions(kernel: Kernel, layout: Layout) -> Sequence[KernelRegion]:
    """Return the regions of a kernel that can be shown; those whose bounds it does not have are left out."""
    found = [*_image(kernel)]
    with suppress(Unavailable, Unreadable):
        found += layout(kernel)
    return [each for each in found if each.first < each.end]


def of_aarch64(kernel: Kernel) -> Iterator[KernelRegion]:
    yield from _noted(kernel)
    # _PAGE_OFFSET(VA_BITS), to the middle of what is the kernel's.
    bits = number(kernel.info, "NUMBER(VA_BITS)")
    yield KernelRegion(VA(_ADDRESSES - (1 << bits)), VA(_ADDRESSES - (1 << bits - 1)), LINEAR_MAP)


def of_riscv(kernel: Kernel) -> Iterator[KernelRegion]:
    yield from _noted(kernel)
    # In front of _stext is the head that firmware starts.
    link, text = number(kernel.info, "NUMBER(KERNEL_LINK_ADDR)"), number(kernel.info, "SYMBOL(_stext)", 16)
    yield KernelRegion(VA(link), VA(text), "kernel code")
    # A quarter of all that there is; modules lie above it.
    first, bits = number(kernel.info, "NUMBER(PAGE_OFFSET)"), number(kernel.info, "NUMBER(VA_BITS)")
    yield KernelRegion(VA(first), VA(first + (1 << bits - 2)), LINEAR_MAP)


def of_x86_64(kernel: Kernel) -> Iterator[KernelRegion]:
    yield from (KernelRegion(VA(first), VA(end), name) for first, end, name in _X86_FIXED)
    yield KernelRegion(VA(_X86_MODULES), VA(_X86_FIXMAP), "modules")
    yield KernelRegion(VA(_X86_FIXMAP), VA(_ADDRESSES), "fixmap")
    linear, mapped, pages = (_variable(kernel, name) for name in ("page_offset_base", "vmalloc_base", "vmemmap_base"))
    five = number(kernel.info, "NUMBER(pgtable_l5_enabled)")
    yield KernelRegion(VA(linear), VA(mapped), LINEAR_MAP)
    yield KernelRegion(VA(mapped), VA(min(pages, mapped + (12800 if five else 32) * _TERABYTE)), "vmalloc")
    yield KernelRegion(VA(pages), VA(pages + (_TERABYTE << 9 if five else _TERABYTE)), _PAGES[-1])


def _noted(kernel: Kernel) -> Iterator[KernelRegion]:
    """Yield the regions whose bounds VMCOREINFO has."""
    for first, end, name in (*_BETWEEN, _PAGES):
        with suppress(Unavailable):
            yield KernelRegion(
                VA(number(kernel.info, f"NUMBER({first})")), VA(number(kernel.info, f"NUMBER({end})")), name
            )


def _image(kernel: Kernel) -> Iterator[KernelRegion]:
    """Yield the kernel's own image, or its code where kallsyms has nothing else."""
    first, code, end = (kernel.symbols.address(name) for name in ("_stext", "_etext", "_end"))
    if first is not None and code is not None:
        yield KernelRegion(first, code, "kernel code")
    if code is not None:
        yield KernelRegion(code, _end_of_data(kernel, code) if end is None else end, "kernel data")


def _end_of_data(kernel: Kernel, code: VA) -> VA:
    """Return the end of the page of the last thing behind the code that is known: kallsyms may have code only."""
    named = [int(value, 16) for key, value in kernel.info.items() if key.startswith("SYMBOL(") and value.isalnum()]
    known = [at for at in (*named, int(kernel.first_task.at)) if code <= at < code + IMAGE_BYTES]
    return VA((max(known, default=int(code)) | PAGE_BYTES - 1) + 1)


def _variable(kernel: Kernel, name: str) -> int:
    at = kernel.symbols.address(name)
    if at is None:
        raise Unavailable(f"kallsyms has no {name}")
    return int.from_bytes(kernel.memory.read(at, 8), "little")
