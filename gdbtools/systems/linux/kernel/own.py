"""Linux as an `OwnKernel`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gdbtools.addresses import VA
from gdbtools.systems.linux.kernel.areas import areas
from gdbtools.systems.linux.kernel.kernel import Kernel, read_kernel
from gdbtools.systems.linux.kernel.regions import Layout, regions
from gdbtools.systems.linux.kernel.tasks import tasks
from gdbtools.systems.linux.kernel.view import View
from gdbtools.systems.tasks import KernelRegion, MemoryArea, ReadVirtual, Task


@dataclass(frozen=True)
class OwnLinux:
    """A Linux kernel, by its VMCOREINFO, kallsyms and BTF."""

    kernel: Kernel
    layout: Layout

    @classmethod
    def of_notes(cls, info: Mapping[str, str], read: ReadVirtual, layout: Layout) -> OwnLinux:
        """Return the kernel that wrote this VMCOREINFO; raise `Unavailable` for what does not hold together."""
        return cls(read_kernel(info, read), layout)

    @property
    def title(self) -> str:
        return f"Linux {self.kernel.release}"

    @property
    def evidence(self) -> tuple[str, ...]:
        kernel = self.kernel
        return (
            f"kallsyms has {len(kernel.symbols.names)} symbols, _stext where VMCOREINFO has it",
            f"BTF has {kernel.memory.types.counted} types",
            f"task 0 is at {kernel.first_task.at:#x}, its own parent, in a list that leads back",
        )

    def reading(self, read: ReadVirtual) -> OwnLinux:
        memory = replace(self.kernel.memory, read=read)
        first = View(memory, self.kernel.first_task.at, self.kernel.first_task.type)
        return replace(self, kernel=replace(self.kernel, memory=memory, first_task=first))

    def tasks(self) -> Iterator[Task]:
        return tasks(self.kernel)

    def areas(self, task: Task) -> Iterator[MemoryArea]:
        return iter(()) if task.memory is None else areas(self.kernel, task.memory)

    def regions(self) -> Sequence[KernelRegion]:
        return regions(self.kernel, self.layout)

    def symbol(self, address: VA) -> str:
        found = self.kernel.symbols.at(address)
        if found is None or address >= self.kernel.symbols.addresses[-1]:
            return ""
        name, offset = found
        return f"{name} + {offset:#x}" if offset else name
