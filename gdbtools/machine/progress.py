"""Physical memory that tells how much of it has been read: for who waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gdbtools.addresses import PA
from gdbtools.machine.model import PhysicalMemory

Tell = Callable[[int, int], None]
"""Told how many reads there were, and of how many bytes."""
EVERY_SECONDS = 0.1


@dataclass
class CountedMemory:
    """Memory whose reads are counted; `tell` hears of them now and then, and never of those of the first moment."""

    under: PhysicalMemory
    tell: Tell
    reads: int = 0
    size_bytes: int = 0
    _told: float = field(init=False)

    def __post_init__(self) -> None:
        self._told = time.monotonic()

    @property
    def description(self) -> str:
        return self.under.description

    def read(self, pa: PA, size_bytes: int) -> bytes:
        self.reads += 1
        self.size_bytes += size_bytes
        now = time.monotonic()
        if now - self._told >= EVERY_SECONDS:
            self._told = now
            self.tell(self.reads, self.size_bytes)
        return self.under.read(pa, size_bytes)

    def write(self, pa: PA, data: bytes) -> None:
        self.under.write(pa, data)
