"""The areas of a process's address space, as its kernel keeps them: `struct vm_area_struct`.

Source: Linux, `include/linux/mm_types.h`, `include/linux/mm.h` (VM_READ and its like); what an area without a file is
for, `fs/proc/task_mmu.c`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from gdbtools.addresses import VA
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.linux.kernel.files import path_of
from gdbtools.systems.linux.kernel.kernel import Kernel
from gdbtools.systems.linux.kernel.maple_tree import entries
from gdbtools.systems.linux.kernel.view import View
from gdbtools.systems.tasks import MemoryArea

_RIGHTS: Final = ((0x1, "r"), (0x2, "w"), (0x4, "x"))
_MAY_SHARE: Final = 0x80
"""VM_MAYSHARE: what /proc/PID/maps calls shared."""
_MOST_AREAS: Final = 1 << 20


def areas(kernel: Kernel, memory: VA) -> Iterator[MemoryArea]:
    """Yield the areas of the `struct mm_struct` at an address, by rising address.

    Raises `Unavailable` where an area is not where its tree or list has it, or of another address space.
    """
    space = kernel.memory.view("mm_struct", memory)
    last = 0
    for area in _in_tree(space) if space.has("mm_mt") else _in_list(space):
        first, end = area.number("vm_start"), area.number("vm_end")
        if not last <= first < end or area.number("vm_mm") != memory:
            raise Unavailable(f"the area at {area.at:#x} is not of the address space that it was found in")
        last = end
        yield _area(kernel, space, area)


def _in_tree(space: View) -> Iterator[View]:
    for first, last, at in entries(space.memory, space.number("mm_mt.ma_root")):
        area = space.memory.view("vm_area_struct", at)
        if (area.number("vm_start"), area.number("vm_end")) != (first, last + 1):
            raise Unavailable(f"the area at {at:#x} does not have the addresses that its tree has")
        yield area


def _in_list(space: View) -> Iterator[View]:
    area = space.pointed("mmap")
    for _ in range(_MOST_AREAS):
        if area is None:
            return
        yield area
        area = area.pointed("vm_next")
    raise Unavailable("the list of areas does not end")


def _area(kernel: Kernel, space: View, area: View) -> MemoryArea:
    flags = area.number("vm_flags")
    rights = "".join(letter if flags & bit else "-" for bit, letter in _RIGHTS) + ("s" if flags & _MAY_SHARE else "p")
    file = area.pointed("vm_file")
    offset = area.number("vm_pgoff") * kernel.page_bytes if file is not None else 0
    what = ""
    with suppress(Unavailable, Unreadable):
        what = _use(kernel, space, area) if file is None else path_of(file)
    return MemoryArea(VA(area.number("vm_start")), VA(area.number("vm_end")), rights, offset, what)


def _use(kernel: Kernel, space: View, area: View) -> str:
    """Return what an area without a file is for, as /proc/PID/maps has it; empty where it does not say."""
    first, end = area.number("vm_start"), area.number("vm_end")
    special = _special(kernel, area)
    if special:
        return special
    if space.has("context.vdso") and space.number("context.vdso") == first:
        return "[vdso]"
    if first <= space.number("brk") and end >= space.number("start_brk"):
        return "[heap]"
    return "[stack]" if first <= space.number("start_stack") <= end else ""


def _special(kernel: Kernel, area: View) -> str:
    """Return the name of a mapping that the kernel itself has put there; empty for others."""
    operations = area.pointed("vm_ops")
    named = kernel.symbols.address("special_mapping_name")
    if operations is None or named is None or operations.number("name") != named:
        return ""
    return kernel.memory.text(kernel.memory.view("vm_special_mapping", area.number("vm_private_data")).number("name"))
