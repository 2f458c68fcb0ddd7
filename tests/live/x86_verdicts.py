"""GDB attached to the x86-64 guest that plants one cause of a fault: where it stands, and what its own tables say."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu
from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.live.session import INSIDE, Session
from tests.places import ROOT

ELF = ROOT / "fixtures/guests/x86/verdicts/verdicts.elf"
PAGE = 0x4000_0000
"""As in the guest's guest.h."""
SYSTEM, NEWER = "system", "bookworm-backports"
FRAME_WORDS = ("error", "rip", "cs", "rflags", "rsp", "ss")


@dataclass(frozen=True)
class PlantedX86(Session):
    """A session on a guest in which everything is planted, and the access is what comes next."""

    qemu: Qemu

    def symbol(self, name: str) -> int:
        return self.value(f"(unsigned long)&{name}")

    def to_symbol(self, name: str) -> None:
        self.say(f"hbreak *(long)&{name}")
        self.say("continue")
        self.say("delete")
        assert self.value("$pc") == self.symbol(name)

    def to_fault(self) -> None:
        """Run to the page fault, at its handler's first instruction."""
        self.to_symbol("page_fault")

    def entry_address(self, level: int) -> int:
        """Walk the guest's tables to the page's entry at a level, without gdbtools."""
        table = self.value("$cr3") & -1 << 12
        for number in range(4, 0, -1):
            at = table + 8 * (PAGE >> 12 + 9 * (number - 1) & 511)
            if number == level:
                return at
            table = self.entry(at) & (1 << 40) - (1 << 12)
        raise AssertionError(f"there is no level {level}")

    def entry(self, at: int) -> int:
        """Read an entry, by the address at which the guest's image and tables are mapped as they are."""
        return self.value(f"*(unsigned long long *){at:#x}")

    def frame(self) -> dict[str, int]:
        """Return what is on the stack at the first instruction of a handler that has an error code."""
        raw = bytes.fromhex(self.inside(f"peek({self.value('$rsp')}, {8 * len(FRAME_WORDS)})"))
        return dict(zip(FRAME_WORDS, struct.unpack(f"<{len(FRAME_WORDS)}Q", raw), strict=True))

    def selected(self) -> int:
        """Return the number of the CPU that stopped."""
        return int(self.inside("gdb.selected_thread().num")) - 1


@contextmanager
def planted_x86(
    gdb: Gdb, scenario: str, cpus: int = 1, qemu: str = SYSTEM, looked: bool = False
) -> Iterator[PlantedX86]:
    """A guest of its own, in a GDB that has had others, just before the access that faults; skips without its QEMU.

    With `looked`, `mmu fault` has explained the first fault, the one before the tables are changed.
    """
    try:
        program = packages.qemu(qemu, "qemu-system-x86_64").command
    except Unavailable as missing:
        pytest.skip(f"no QEMU for it: {missing}")
    try:
        with Qemu(ELF, cpus, "max", machine="pc", program=program) as running:
            live = PlantedX86(gdb, running)
            live.say(f"source {INSIDE}")
            live.say("file")
            live.say(f"target remote {running.gdbstub}")
            live.say(f"file {ELF}")
            # The loader puts it into memory as late as that.
            live.to_symbol("start")
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
