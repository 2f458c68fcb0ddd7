"""The leaves that keep their access flags: without them no exception could be taken on some CPU, or returned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gdbtools.addresses import PA, VA, Input
from gdbtools.arch.model import EntryNeed, Read, ReadRegister, with_memory
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable
from gdbtools.machine.model import Machine
from gdbtools.systems import entry_needs

STEP_BYTES = 1 << 12
FEW_BYTES = 1 << 16
"""What is larger than this is asked for by address alone, not by each of its leaves' descriptors."""


@dataclass
class Needed:
    """What exceptions need on every CPU, by descriptor and by address."""

    machine: Machine
    regime: str | None
    read: Read
    _descriptors: dict[PA, str] = field(default_factory=dict)
    _ranges: list[tuple[EntryNeed, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for cpu in self.machine.cpus:
            for need in _needs(self.machine, with_memory(cpu.registers.read, self.machine.memory.read)):
                name = f"{need.name} of CPU {cpu.number}"
                self._ranges.append((need, name))
                for pa in self._of(cpu.registers.read, need):
                    self._descriptors.setdefault(pa, name)

    def why(self, first: Input, size_bytes: int, descriptor_pa: PA) -> str:
        """Return for what a leaf is needed; empty for one that is not."""
        by_address = (name for need, name in self._ranges if need.first < first + size_bytes and first < need.end)
        return self._descriptors.get(descriptor_pa) or next(by_address, "")

    def add(self, address: VA, name: str) -> None:
        """Have the leaf of an address of the current CPU kept too."""
        leaf = self._leaf(self.machine.register, address)
        if leaf is not None:
            self._descriptors.setdefault(leaf, name)

    def _of(self, register: ReadRegister, need: EntryNeed) -> Iterator[PA]:
        if need.size_bytes > FEW_BYTES:
            return
        for address in {need.first, need.end - 1, *range(need.first & -STEP_BYTES, need.end, STEP_BYTES)}:
            if need.first <= address < need.end or address & -STEP_BYTES == need.first & -STEP_BYTES:
                leaf = self._leaf(register, VA(max(address, need.first)))
                if leaf is not None:
                    yield leaf

    def _leaf(self, register: ReadRegister, address: VA) -> PA | None:
        try:
            regime = self.machine.architecture.regime_for(register, address, self.regime)
        except Unavailable:
            return None
        leaf = walk(regime, address, self.read).leaf
        return None if leaf is None else leaf.pa


def _needs(machine: Machine, register: ReadRegister) -> Sequence[EntryNeed]:
    """Return what a CPU needs: nothing for one whose registers are not there, as of one that was never started."""
    try:
        return entry_needs(machine.architecture, register)
    except Unavailable:
        return ()
