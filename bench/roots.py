"""`find-roots` over an image of memory, beside reading the image once: what it costs to look at everything."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from bench.maps import RAM, Half, image, timed
from gdbtools.analysis.roots.search import Search
from gdbtools.arch import ARCHITECTURES
from gdbtools.machine.dumps.extents import data_of, memory_of
from gdbtools.machine.model import PhysicalMemory
from gdbtools.machine.sources import open_source

MEGA = 1 << 20
IMAGE_MEGABYTES = 256
SHARES = {"zeros": 0, "a quarter in use": 1 / 4, "all in use": 31 / 32}
"""How much of it is neither empty nor tables."""
SPARSE_GIGABYTES = 64


def made(path: Path, half: Half, megabytes: int, used: int) -> None:
    """Write tables of 4 KiB pages, then what is in use, then zeros."""
    tables = image(half)
    with path.open("wb") as file:
        file.write(tables)
        drawn = random.Random(1)
        for _ in range(used):
            file.write(drawn.randbytes(MEGA))
        file.write(bytes(megabytes * MEGA - file.tell()))


def read_once(memory: PhysicalMemory) -> None:
    for first, size in memory_of(memory):
        for pa in range(first, first + size, MEGA):
            memory.read(pa, min(MEGA, first + size - pa))


def search(memory: PhysicalMemory) -> Search:
    return Search(ARCHITECTURES["aarch64"], memory.read, memory_of(memory), data_of(memory))


def look(memory: PhysicalMemory) -> Search:
    found = search(memory)
    for _ in found.look():
        pass
    return found


def report(smallest: bool = False) -> None:
    megabytes, half = (32, Half(1 << 15, 64)) if smallest else (IMAGE_MEGABYTES, Half(131_072, 64))
    print(f"find-roots in {megabytes} MB of memory with 4 KiB pages' tables in it, read through a mapped image:")
    print("                          read once         look         rank       MB/s  look/read")
    with tempfile.TemporaryDirectory(prefix="gdbtools-bench-") as name:
        path = Path(name) / "ram"
        for what, share in SHARES.items():
            made(path, half, megabytes, int(megabytes * share))
            memory = open_source(f"{path}@{RAM:#x}", architecture="aarch64").memory
            bare = timed(lambda memory=memory: read_once(memory), 3)
            looked = timed(lambda memory=memory: look(memory), 3)
            found = look(memory)
            ranked = timed(found.rank, 3)
            assert found.rank().found[0].place.root == RAM
            rate = megabytes / (looked + ranked)
            print(
                f"  {what:20} {1000 * bare:9.0f} ms {1000 * looked:9.0f} ms {1000 * ranked:9.0f} ms {rate:10.0f} "
                f"{looked / bare:9.1f}x"
            )
        with path.open("r+b") as file:
            file.truncate(SPARSE_GIGABYTES << 30)
        sparse = timed(lambda: look(open_source(f"{path}@{RAM:#x}", architecture="aarch64").memory), 1)
        print(f"  the last one as {SPARSE_GIGABYTES} GB with a hole: look {sparse / looked:.1f} times as long")
