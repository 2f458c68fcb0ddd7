"""What a system's own memory has of its tasks and of their areas, whichever system it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gdbtools.addresses import VA

ReadVirtual = Callable[[VA, int], bytes]
"""Return bytes at a kernel's virtual address; raises `Unavailable` or `Unreadable`."""


@dataclass(frozen=True, slots=True)
class Task:
    """A process, or a thread of the kernel's own, which has no memory.

    `at` is where its structure is, `memory` that of its address space, `root` the virtual address of its root table.
    `cpu` is the one that it is on, or was on last; `size_bytes` that of all areas of its address space.
    """

    number: int
    name: str
    at: VA
    parent: int | None
    cpu: int | None
    state: str
    memory: VA | None
    root: VA | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class MemoryArea:
    """A part of a process's address space as its system keeps it, whether its tables have it yet or not.

    `rights` has a letter each for read, write, execute, and `s` or `p` for shared or private; `what` is the file, or
    what else it is for, empty where that is not known; `offset_bytes` is of its beginning in the file.
    """

    first: VA
    end: VA
    rights: str
    offset_bytes: int
    what: str


@dataclass(frozen=True, slots=True)
class KernelRegion:
    """A part of the kernel's own half, from `first` to before `end`, and what the kernel calls it."""

    first: VA
    end: VA
    name: str


class OwnKernel(Protocol):
    """A kernel as its own memory shows it.  What does not hold together raises `Unavailable`, and is never guessed."""

    @property
    def title(self) -> str:
        """Its name and release."""
        ...

    @property
    def evidence(self) -> tuple[str, ...]:
        """What shows that it is this guest's kernel."""
        ...

    def reading(self, read: ReadVirtual, /) -> OwnKernel:
        """Return the same kernel as its memory is at another moment."""
        ...

    def tasks(self) -> Iterator[Task]:
        """Yield every process and every thread of its own."""
        ...

    def areas(self, task: Task, /) -> Iterator[MemoryArea]:
        """Yield the areas of a process, by rising address; those of a thread of the kernel's own are none."""
        ...

    def regions(self) -> Sequence[KernelRegion]:
        """Return the parts of its own half, what lies in another in front of that."""
        ...

    def symbol(self, address: VA, /) -> str:
        """Name what is at an address of the kernel's, as `NAME + OFFSET`; empty where nothing is known to be."""
        ...
