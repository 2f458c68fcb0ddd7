"""GDB attached to the RISC-V guest that plants one cause of a fault: where it stands, and what its own tables say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu
from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.guests.riscv_live import SVADE, guest
from tests.live.session import INSIDE, Session

PAGE, HOLE_PA, OTHER_SPACE = 0x4000_0000, 0x1100_0000, 2
"""As in the guest's guest.h."""
SYSTEM, NEWER = "system", "bookworm-backports"
"""Which QEMU: the second has Svade."""


@dataclass(frozen=True)
class Planted(Session):
    """A session on a guest in which everything is planted, and the access is what comes next."""

    qemu: Qemu
    bits: int

    def symbol(self, name: str) -> int:
        return self.value(f"(unsigned long)&{name}")

    def to_fault(self) -> None:
        """Run to the trap, at its vector."""
        self.say("hbreak *(long)&trap")
        self.say("continue")
        self.say("delete")
        assert self.value("$pc") == self.symbol("trap")

    def to_symbol(self, name: str) -> None:
        self.say(f"hbreak *(long)&{name}")
        self.say("continue")
        self.say("delete")

    def entry_address(self, level: int) -> int:
        """Walk the guest's tables to the page's entry at a level, without gdbtools: Sv39 or Sv32."""
        index_bits, top = (9, 2) if self.bits == 64 else (10, 1)
        table = (self.value("$satp") & (1 << 44 if self.bits == 64 else 1 << 22) - 1) << 12
        for number in range(top, -1, -1):
            at = table + self.bits // 8 * (PAGE >> 12 + index_bits * number & (1 << index_bits) - 1)
            if number == level:
                return at
            table = self.entry(at) >> 10 << 12
        raise AssertionError(f"there is no level {level}")

    def entry(self, at: int) -> int:
        """Read an entry, by the address at which the guest's image and tables are mapped as they are."""
        kind = "unsigned long long" if self.bits == 64 else "unsigned int"
        return self.value(f"*({kind} *){at:#x}")

    def selected(self) -> int:
        """Return the number of the hart that stopped."""
        return int(self.inside("gdb.selected_thread().num")) - 1

    def counted(self) -> int:
        """Return how many exceptions the guest's handler has taken."""
        return self.value("*(long *)&exceptions_taken")


@contextmanager
def planted(
    gdb: Gdb,
    scenario: str,
    bits: int = 64,
    harts: int = 1,
    features: str = "",
    qemu: str = SYSTEM,
    looked: bool = False,
) -> Iterator[Planted]:
    """A guest of its own, in a GDB that has had others, just before the access that faults; skips without its QEMU.

    With `looked`, `mmu fault` has explained the first fault, the one before the tables are changed.
    """
    try:
        program = packages.qemu(NEWER if features == SVADE else qemu, f"qemu-system-riscv{bits}").command
    except Unavailable as missing:
        pytest.skip(f"no QEMU for it: {missing}")
    cpu, elf = f"rv{bits}{features and ','}{features}", guest("verdicts", bits)
    try:
        with Qemu(elf, harts, cpu, machine="virt", program=program, extra=("-bios", "none")) as running:
            live = Planted(gdb, running, bits)
            live.say(f"source {INSIDE}")
            # GDB takes no file of another width while it has the last target's description.
            live.say("file")
            live.say(f"target remote {running.gdbstub}")
            live.say(f"file {elf}")
            live.say(f"set var *(long *)&scenario = (long)&{scenario}")
            if looked:
                live.to_fault()
                live.ask("fault")
            live.to_symbol("planted")
            yield live
    finally:
        # Without its QEMU a GDB that waits for a guest waits no longer.
        gdb.run("disconnect")
        gdb.run("delete")
