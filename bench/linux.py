"""`map` of a real kernel, Debian's 6.1 with 4 KiB pages, from its mapped RAM and over the gdbstub."""

from __future__ import annotations

from bench.maps import KERNEL, in_gdb, plain_walk, timed
from gdbtools.analysis.mappings import mappings
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Run
from gdbtools.commands import COMMANDS
from gdbtools.commands.answering import query, respond
from gdbtools.commands.session import Session
from gdbtools.machine.layers import FixedRegisters, MemoryRange, Ranges
from gdbtools.machine.model import Cpu, Machine
from tests.guests.linux import RAM, LinuxGuest
from tests.guests.packages import kernel
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
MEMORY_BYTES = 512 << 20
BUSY = "exec dd if=/dev/zero of=/dev/null bs=1M"


def report(smallest: bool = False) -> None:
    memory_bytes = MEMORY_BYTES // 4 if smallest else MEMORY_BYTES
    with LinuxGuest(kernel("6.1-4k"), memory_bytes=memory_bytes) as guest, guest.process(BUSY):
        # In the kernel: a process sees only what it takes to enter it.
        with guest.stopped(el=1) as registers:
            register = reader(registers)
            tables: set[int] = set()

            def noted(pa: int, size_bytes: int) -> bytes:
                tables.add(pa)
                return guest.read(pa, size_bytes)

            runs = [each for each in mappings(ARM, register, noted) if isinstance(each, Run)]
            leaves = sum(run.size_bytes // run.leaf_bytes for run in runs)
            ours = timed(lambda: list(mappings(ARM, register, guest.read)))
            halves = ((registers["TTBR0_EL1"], 0), (registers["TTBR1_EL1"], KERNEL))
            plain = timed(lambda: [plain_walk(guest.read, root, base) for root, base in halves])
            bare = timed(lambda: [guest.read(pa, 1 << 12) for pa in tables])
            printed = timed(lambda: whole_command(guest, registers))
        lives = [in_gdb(guest.gdbstub, {}, past_stub) for past_stub in (True, False)]
    print(f"map of Debian's kernel 6.1, 4 KiB pages, {memory_bytes >> 20} MB: {leaves} leaves in {len(tables)} tables:")
    print(f"  map              {1000 * ours:7.1f} ms, {len(runs)} runs, read through the mapped RAM")
    print(f"  with its text    {1000 * printed:7.1f} ms, as the command prints it")
    print(f"  plain walker     {1000 * plain:7.1f} ms, {plain / ours:.1f} times as long")
    print(f"  read once        {1000 * bare:7.1f} ms")
    for live in lives:
        print(f"  map, inside GDB  {1000 * live.asked:7.1f} ms, {live.count} runs, read through {live.through}")
        print(f"  bare transfer    {1000 * live.bare:7.1f} ms; map takes {live.asked / live.bare:.2f} times that")


def whole_command(guest: LinuxGuest, registers: dict[str, int]) -> str:
    memory = Ranges(
        (MemoryRange(RAM, guest.memory_bytes, lambda at, size: guest.read(RAM + at, size)),), "the guest's RAM"
    )
    machine = Machine(ARM, memory, (Cpu(0, FixedRegisters(registers, "the guest")),))
    return respond(query(COMMANDS["map"], (), int, "bench"), Session(machine)).text()
