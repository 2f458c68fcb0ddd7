"""GDB attached to the guest that plants one cause of a fault: where it stands, and what its own tables say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu
from gdbtools.machine.symbols import symbol_values
from tests.live.session import GUEST, INSIDE, Session

VERDICTS_GUEST = GUEST.parent.parent / "verdicts" / "verdicts.elf"
PAGE, UPPER_HALF, HOLE_PA = 0x5000_0000, 0xFFFF_0000_0000_0000, 0x6000_0000
PAGE_IPA = 0x7000_0000
"""As in the guest's guest.h."""
STUB_NAMES = {"VBAR_EL1": "VBAR", "SCTLR_EL1": "SCTLR"}
"""What QEMU's stub calls them before 11."""
BL = 0b100101
"""The top six bits of a `BL`."""
SYNCHRONOUS = (0x200, 0x400)
"""Where in the vectors a fault arrives: from the current level with SP_ELx, from a lower one in AArch64."""


@cache
def symbols() -> Mapping[str, int]:
    return symbol_values(VERDICTS_GUEST)


def symbol(name: str) -> int:
    return symbols()[name]


@dataclass(frozen=True)
class Planted(Session):
    """A session on a guest in which everything is planted, and the access is what comes next."""

    qemu: Qemu
    granule_bits: int = 12

    def to_fault(self, vectors: int | None = None) -> None:
        """Run to the exception, at its vector entry: of EL1, or of these vectors."""
        base = self.register("VBAR_EL1") if vectors is None else vectors
        for offset in SYNCHRONOUS:
            self.say(f"hbreak *{base + offset:#x}")
        self.say("continue")
        self.say("delete")
        assert self.value("$pc") - base in SYNCHRONOUS, "the guest stands at a vector entry"

    def register(self, name: str) -> int:
        """Return a register by its architectural name, or by the one that QEMU's stub has for it."""
        other = STUB_NAMES.get(name, name)
        return self.value(f"$_isvoid(${name}) ? ${other} : ${name}")

    def descriptor_address(self, va: int, level: int) -> int:
        """Walk the guest's tables without gdbtools, down to a level: 48 bits, from level 0."""
        table = self.value("$TTBR1_EL1" if va >> 63 else "$TTBR0_EL1") & (1 << 48) - 1
        index_bits = self.granule_bits - 3
        for number in range(level + 1):
            low = self.granule_bits + index_bits * (3 - number)
            at = table + 8 * ((va & (1 << 48) - 1) >> low & (1 << index_bits) - 1)
            table = self.descriptor(at) & (1 << 48) - (1 << self.granule_bits)
        return at

    def stage2_descriptor_address(self, ipa: int) -> int:
        """Walk the hypervisor's tables without gdbtools: 39 bits, from level 1, in pages of 4 KiB."""
        table = self.value("$VTTBR_EL2") & (1 << 48) - 1
        for low in (30, 21, 12):
            at = table + 8 * (ipa >> low & 0x1FF)
            table = self.descriptor(at) & (1 << 48) - (1 << 12)
        return at

    def selected(self) -> int:
        """Return the number of the CPU that stopped."""
        return int(self.inside("gdb.selected_thread().num")) - 1

    def word(self, name: str) -> int:
        """Read a variable of the guest's."""
        return self.descriptor(symbol(name))

    def counted(self) -> int:
        """Return how many exceptions the guest's handler has taken."""
        return self.word("exceptions_taken")

    def calls_finished(self) -> int:
        """Return where a CPU calls `finished`: there the other can step past a breakpoint, which none can at WFI."""
        for at in range(symbol("cpu_main"), symbol("cpu_main") + 0x100, 4):
            word = self.value(f"*(unsigned int *){at:#x}")
            if word >> 26 == BL and (word - (symbol("finished") - at) // 4) & (1 << 26) - 1 == 0:
                return at
        raise AssertionError("cpu_main does not call finished")

    def to_the_end(self) -> None:
        """Run to where there is nothing left to do."""
        self.say("hbreak finished")
        self.say("continue")
        self.say("delete")


@contextmanager
def planted(
    gdb: Gdb,
    scenario: str,
    cpu: str = "cortex-a57",
    cpus: int = 1,
    hypervisor: bool = False,
    granule_bits: int = 12,
    program: Sequence[str] = (),
) -> Iterator[Planted]:
    """A guest of its own, in a GDB that has had others, just before the access that faults."""
    machine = "virt,virtualization=on" if hypervisor else "virt"
    try:
        with Qemu(VERDICTS_GUEST, cpus, cpu=cpu, machine=machine, program=program) as qemu:
            live = Planted(gdb, qemu, granule_bits)
            live.say(f"source {INSIDE}")
            live.say(f"file {VERDICTS_GUEST}")
            live.say(f"target remote {qemu.gdbstub}")
            live.say(f"set var *(long *)&granule_bits = {granule_bits}")
            live.say(f"set var *(long *)&scenario = {symbol(scenario)}")
            live.say("hbreak planted")
            live.say("continue")
            live.say("delete")
            yield live
    finally:
        # Without its QEMU a GDB that waits for a guest waits no longer.
        gdb.run("disconnect")
        gdb.run("delete")
