"""A guest's second stage, counted: what `stage2` does, against no more than reading the same tables and their bits.

Live too, inside GDB, against the bare transfer of the tables: where a small guest has them in its memory, and of a real
dom0 of 512 MB.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bench.linux import BUSY
from bench.maps import GUEST, Live, in_gdb
from bench.walks import timed
from gdbtools.addresses import PA
from gdbtools.analysis.guests.census import census
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import written_down
from gdbtools.children.processes import Qemu
from tests.guests.packages import kernel
from tests.guests.xen import XenGuest

ROOT, BASE = 0x4400_0000, 0x8000_0000
"""Where the tables lie, beside a small guest, and where the memory begins that they map."""
PAGES, BLOCKS, LARGE = 377, 413, 512
"""As a Xen 4.17 has its dom0 of 512 MB on a cortex-a53: tables of pages, blocks of 2 MB, and of 1 GB."""
REGISTERS = {
    "HCR_EL2": 0x807C_663F,
    "VTCR_EL2": 0x8002_3558,
    "VTTBR_EL2": 1 << 48 | ROOT,
    "ID_AA64MMFR0_EL1": 0x1122,
}
LEAF, TABLE = 0x80_0000_0000_07FD, 0x80_0000_0000_07FF
ROUNDS = 5


def tables(pages: int) -> bytes:
    """Return a root of two pages, two tables below it, and those of pages: together from `ROOT` on."""
    made = bytearray((4 + pages) * 4096)
    for number in range(2):
        struct.pack_into("<Q", made, 8 * number, TABLE | ROOT + (2 + number) * 4096)
    for number in range(pages):
        struct.pack_into("<Q", made, 2 * 4096 + 8 * number, TABLE | ROOT + (4 + number) * 4096)
        first = BASE + (number << 21)
        entries = (LEAF | 2 | first + (page << 12) for page in range(512))
        struct.pack_into("<512Q", made, (4 + number) * 4096, *entries)
    for number in range(LARGE):
        struct.pack_into("<Q", made, 4096 + 8 * number, LEAF | 512 + number << 30)
    for number in range(BLOCKS):
        struct.pack_into("<Q", made, 2 * 4096 + 8 * (pages + number), LEAF | BASE + (pages + number << 21))
    return bytes(made)


def bare(read: Callable[[PA, int], bytes], table: int, shift: int, entries: int, counted: Counter[int]) -> None:
    """Count leaves by their size, and nothing else."""
    for (entry,) in struct.iter_unpack("<Q", read(PA(table), entries * 8)):
        if shift > 12 and entry & 3 == 3:
            bare(read, entry & 0xFFFF_FFFF_F000, shift - 9, 512, counted)
        elif entry & 1:
            counted[1 << shift] += 1


def report(smallest: bool = False) -> None:
    memory = tables(8 if smallest else PAGES)
    rounds = 1 if smallest else ROUNDS

    def read(pa: PA, size_bytes: int) -> bytes:
        return memory[pa - ROOT : pa - ROOT + size_bytes]

    [regime] = ARCHITECTURES["aarch64"].regimes(written_down(REGISTERS), "stage2")
    found = census(regime, read, None)
    counted = Counter[int]()
    bare(read, ROOT, 30, 1024, counted)
    assert found.leaves == counted.total(), "both see the same"
    ours = timed(lambda: census(regime, read, None), rounds)
    theirs = timed(lambda: bare(read, ROOT, 30, 1024, Counter()), rounds)
    print(f"{found.leaves} leaves in {found.tables} tables, read through memory of this process:")
    print(f"  stage2 takes {ours * 1e3:.1f} ms, {ours / theirs:.2f} times a bare loop's {theirs * 1e3:.1f} ms")
    for past_stub in (True, False):
        told(beside_a_guest(memory, past_stub))
    if not smallest:
        dom0()


def dom0() -> None:
    """What a Xen has of its dom0 while that runs: a Xen that idles may have an empty second stage in its registers."""
    xen = XenGuest(kernel("6.1-4k"), "cortex-a57", memory_bytes=1280 << 20, dom0_bytes=512 << 20)
    with xen as guest, guest.process(BUSY):
        found = [in_gdb(guest.gdbstub, {}, past_stub, "stage2") for past_stub in (True, False)]
    print("a dom0 of 512 MB under Xen 4.17, cortex-a57:")
    for each in found:
        told(each)


def beside_a_guest(memory: bytes, past_stub: bool) -> Live:
    with tempfile.TemporaryDirectory(prefix="gdbtools-bench-") as name:
        tables, registers = Path(name) / "tables", Path(name) / "registers.json"
        tables.write_bytes(memory)
        registers.write_text(json.dumps({each: hex(value) for each, value in REGISTERS.items()}))
        loader = ("-device", f"loader,file={tables},addr={ROOT:#x},force-raw=on")
        with Qemu(GUEST, extra=loader) as qemu:
            return in_gdb(qemu.gdbstub, {"BENCH_REGISTERS": str(registers)}, past_stub, "stage2")


def told(found: Live) -> None:
    print(f"{found.count} leaves in {found.tables} pieces of tables, inside GDB, read through {found.through}:")
    times = f"{found.asked / found.bare:.2f} times the bare transfer's {found.bare * 1e3:.1f} ms"
    print(f"  stage2 takes {found.asked * 1e3:.1f} ms, {times}")
