"""What the guest's own kernel calls an address: a region of its half, or an area of the process that is asked about."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from gdbtools import systems
from gdbtools.addresses import PA, VA, Input
from gdbtools.analysis.own_kernel import FoundKernel, place_of
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import AccessKind, Read, Regime
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.tasks import KernelRegion, MemoryArea, Task
from gdbtools.units import PAGE_BYTES

_KERNELS_HALF = 63
_LETTERS = {AccessKind.READ: "r", AccessKind.WRITE: "w", AccessKind.EXECUTE: "x"}


@dataclass(frozen=True)
class OwnPlace:
    """What a kernel has at an address: a region of its own, or an area of a task's, or none.

    `task` is None where nothing shows whose tables are asked, and for the kernel's own half.
    """

    region: KernelRegion | None = None
    symbol: str = ""
    task: Task | None = None
    area: MemoryArea | None = None
    below: MemoryArea | None = None
    """The area that follows, where there is none here: a stack grows towards lower addresses."""
    of_kernel: bool = False
    """Whether it is in the kernel's half, where no region of its is known."""
    mapped: bool = True
    """Whether the kernel's own tables have it: a region is larger than what is in it."""

    def permits(self, kind: AccessKind) -> bool | None:
        """Return whether the area would have such an access; None where no area is known."""
        letter = _LETTERS.get(kind)
        return None if self.area is None or letter is None else letter in self.area.rights


@dataclass(frozen=True)
class OwnPlaces:
    """A kernel's names for addresses, at one stop."""

    kernel: FoundKernel
    architecture: Architecture
    read: Read

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Every task with an address space."""
        return tuple(task for task in self.kernel.own.tasks() if task.root is not None)

    @cached_property
    def regions(self) -> tuple[KernelRegion, ...]:
        return tuple(self.kernel.own.regions())

    @cached_property
    def _by_root(self) -> dict[PA, Task]:
        """The tasks by each of their roots; the first of several that share an address space."""
        found: dict[PA, Task] = {}
        for task in self.tasks:
            root = self._root(task)
            if root is not None:
                found.setdefault(root, task)
        # Behind those that are sure: where none is kept, another process's root may be.
        for root, task in list(found.items()):
            reduced = systems.reduced_root(self.architecture, root, PAGE_BYTES)
            if reduced is not None:
                found.setdefault(reduced, task)
        return found

    def _root(self, task: Task) -> PA | None:
        assert task.root is not None, "it has an address space"
        with suppress(Unavailable, Unreadable):
            return place_of(self.kernel.regime, task.root, self.read)
        return None

    def at(self, address: Input, regime: Regime) -> OwnPlace | None:
        """Return what is at an address of a regime; None for one that is no address of its."""
        plain = regime.translated(address)
        if regime.levels and regime.admit(plain) is not None:
            return None
        at = VA(plain)
        if not regime.first <= at <= regime.last:
            # Its tag is no part of it.
            at = VA(at & regime.last if at & regime.last >= regime.first else at | regime.first)
        region = next((each for each in self.regions if each.first <= at < each.end), None)
        if region is not None:
            return OwnPlace(region, self.kernel.own.symbol(at) if "code" in region.name else "", mapped=self._maps(at))
        if at >> _KERNELS_HALF & 1:
            return OwnPlace(of_kernel=True)
        task = self._by_root.get(PA(regime.root))
        if task is None:
            return OwnPlace()
        following = None
        for area in self.kernel.own.areas(task):
            if area.first <= at < area.end:
                return OwnPlace(task=task, area=area)
            if area.first > at:
                following = area
                break
        return OwnPlace(task=task, below=following)

    def _maps(self, at: VA) -> bool:
        """Return whether the kernel's own tables have an address of its half."""
        try:
            place_of(self.kernel.regime, at, self.read)
        except Unavailable:
            return False
        except Unreadable:
            pass
        return True
