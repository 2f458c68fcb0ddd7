"""GDB attached to the guest with entries in its TLB, and with instructions to borrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu
from gdbtools.machine.symbols import symbol_values
from tests.live.session import GUEST, INIT, INSIDE, Session

TLB_GUEST = GUEST.parent.parent / "tlb" / "tlb.elf"
PAGE_A, PAGE_B, OWN_PAGE, PAGE_D = (0x10000000 + number * 0x10000 for number in range(4))
"""The pages that the loop reads: each holds its own letter; the third is not global."""
BLOCK = 0x80000000
OWN = (("tables", 16 * 0x4000), ("pages", 4 * 0x4000))
LOST = {"ESR_EL1", "FAR_EL1", "ELR_EL1", "SPSR_EL1"}
"""What an exception overwrites for good."""


@cache
def symbols() -> Mapping[str, int]:
    return symbol_values(TLB_GUEST)


def symbol(name: str) -> int:
    return symbols()[name]


@dataclass(frozen=True)
class Tlb(Session):
    """A session on a guest that stands at the end of a round of its loop: its TLB holds every page."""

    qemu: Qemu

    def leaf(self, address: int) -> int:
        """Return where the descriptor of an address is."""
        return int(self.ask(f"walk {address:#x}")[0]["steps"][-1]["descriptor_address"], 16)

    def entry(self, address: int) -> int:
        return self.descriptor(self.leaf(address))

    def round(self, cpu: int = 0) -> None:
        """Let the guest go round its loop once more on this CPU."""
        self.say(f"thread {cpu + 1}")
        self.say(f"hbreak looped thread {cpu + 1}")
        self.say("continue")
        self.say("delete")

    def faults(self) -> int:
        """Return how many faults the guest has taken itself."""
        return int.from_bytes(bytes.fromhex(self.inside(f"peek({symbol('faults')}, 8)")), "little")

    def image(self) -> str:
        """A digest of the guest's code, tables and pages: all but its stacks and what it counts."""
        parts = [(symbol("text_start"), symbol("data_start"))]
        parts += [(symbol(name), symbol(name) + size) for name, size in OWN]
        return str(self.inside(f"digest({parts})"))

    def registers(self) -> dict[str, str]:
        """Return every register but SP_EL1: QEMU stores it when EL1 is left, and sp has its value until then."""
        return {name: value for name, value in dict(self.inside("registers()")).items() if name != "SP_EL1"}

    def probe(self, words: str) -> Any:
        (answer,) = self.ask(f"probe {words}")
        return answer


@contextmanager
def on_the_loop(
    gdb: Gdb, cpus: int = 1, granule_bits: int = 12, at_el0: bool = False, extra: Sequence[str] = ()
) -> Iterator[Tlb]:
    """A guest of its own, in a GDB that may have had others."""
    cpu = "cortex-a57" if granule_bits == 12 else "max"
    with Qemu(TLB_GUEST, cpus, cpu=cpu, extra=extra) as qemu:
        live = Tlb(gdb, qemu)
        live.say(f"source {INSIDE}")
        live.say(f"file {TLB_GUEST}")
        live.say(f"target remote {qemu.gdbstub}")
        live.say(f"set var *(long *)&granule_bits = {granule_bits}")
        live.say(f"set var *(long *)&at_el0 = {int(at_el0)}")
        for each in range(cpus):
            live.say(f"hbreak looped thread {each + 1}")
            live.say("continue")
            live.say("delete")
        live.say("thread 1")
        try:
            yield live
        finally:
            gdb.run("disconnect")  # an error where the connection is gone already


@contextmanager
def looping(gdb_path: str, **options: Any) -> Iterator[Tlb]:
    """The same in a GDB of its own."""
    with Gdb(gdb_path, INIT) as gdb, on_the_loop(gdb, **options) as live:
        yield live
