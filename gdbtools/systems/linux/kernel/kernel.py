"""A Linux kernel as its own memory shows it: where its symbols and types are found, and that they are this kernel's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import VA, moved
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.linux.kernel.btf import HEADER, MAGIC, MOST_BYTES, Types
from gdbtools.systems.linux.kernel.kallsyms import KernelSymbols, read_symbols
from gdbtools.systems.linux.kernel.view import Memory, View
from gdbtools.systems.linux.notes import number
from gdbtools.systems.tasks import ReadVirtual

_PAGE_BYTES: Final = 4096
IMAGE_BYTES: Final = 1 << 26
"""How far behind the text something of the image is looked for: stock kernels have 30 to 45 MB."""
_DATA_BYTES: Final = 1 << 23
_IDLE: Final = re.compile(rb"swapper(?:/0)?\0")
"""What the first task of all is called, of a kernel for one processor and for several."""
_TASK_ALIGNMENT: Final = 64


@dataclass(frozen=True)
class Kernel:
    """A kernel: what it wrote down of itself, its symbols, its memory with its types, and its first task."""

    info: Mapping[str, str]
    symbols: KernelSymbols
    memory: Memory
    first_task: View

    @property
    def release(self) -> str:
        return self.info.get("OSRELEASE", "of unknown release")

    @property
    def page_bytes(self) -> int:
        return number(self.info, "PAGESIZE")


def read_kernel(info: Mapping[str, str], read: ReadVirtual) -> Kernel:
    """Return the kernel that wrote this VMCOREINFO; raise `Unavailable` for what does not hold together, and why."""
    symbols = read_symbols(info, read)
    memory = Memory(_types(info, symbols, read), read)
    return Kernel(info, symbols, memory, _first_task(info, symbols, memory))


def _types(info: Mapping[str, str], symbols: KernelSymbols, read: ReadVirtual) -> Types:
    start = symbols.address("__start_BTF") or _behind(number(info, "SYMBOL(kallsyms_names)", 16), MAGIC, read)
    if start is None:
        raise Unavailable("this kernel has no BTF, its own types; build it with CONFIG_DEBUG_INFO_BTF=y")
    *_, length, types_at, types_bytes, strings_at, strings_bytes = HEADER.unpack(read(start, HEADER.size))
    size_bytes = length + max(types_at + types_bytes, strings_at + strings_bytes)
    if size_bytes > MOST_BYTES:
        raise Unavailable(f"BTF at {start:#x} is said to have {size_bytes:#x} bytes, which no kernel's has")
    return Types(read(start, size_bytes))


def _behind(start: int, wanted: bytes, read: ReadVirtual) -> VA | None:
    """Return where bytes are, in one page, behind an address of the image."""
    first = start & -_PAGE_BYTES
    for at in range(first, first + IMAGE_BYTES, _PAGE_BYTES):
        try:
            place = read(VA(at), _PAGE_BYTES).find(wanted)
        except (Unavailable, Unreadable):
            return None
        if place >= 0:
            return VA(at + place)
    return None


def _first_task(info: Mapping[str, str], symbols: KernelSymbols, memory: Memory) -> View:
    """Return init_task: by its symbol, where all are in kallsyms, or else by its name, and because it is the first.

    What is initialized and can be written is behind one another in the image: init_uts_ns, which VMCOREINFO names, is
    behind init_task.
    """
    symbol = symbols.address("init_task")
    if symbol is not None:
        task = memory.view("task_struct", symbol)
        if not _is_first(task):
            raise Unavailable(f"what kallsyms has as init_task, at {symbol:#x}, is not the task of number 0")
        return task
    name_at = memory.types.member(memory.types.structure("task_struct"), "comm").at
    last = number(info, "SYMBOL(init_uts_ns)", 16) & -_PAGE_BYTES
    for at in range(last, last - _DATA_BYTES, -_PAGE_BYTES):
        try:
            page = memory.read(VA(at), _PAGE_BYTES)
        except (Unavailable, Unreadable):
            continue
        for place in (each.start() for each in _IDLE.finditer(page)):
            task = memory.view("task_struct", at + place - name_at)
            if _is_first(task):
                return task
    raise Unavailable("the task of number 0 was not found in the kernel's image")


def _is_first(task: View) -> bool:
    """Return whether this is a task of number 0 that is its own parent and in a list that leads back to it."""
    try:
        if task.at % _TASK_ALIGNMENT or task.number("pid") or task.number("parent") != task.at:
            return False
        here = task.place("tasks")
        following = task.number("tasks.next")
        back = int.from_bytes(task.memory.read(moved(VA(following), 8), 8), "little")
    except (Unavailable, Unreadable):
        return False
    return back == here
