"""What each kind of source costs: to open it, and the MB of tables a second that `map` gets through."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from bench.maps import GUEST, RAM, Half, image, registers, runs_of, timed
from gdbtools.arch import ARCHITECTURES
from gdbtools.errors import Unavailable
from gdbtools.machine.dumps.capture import core_bytes
from gdbtools.machine.sources import opened
from tests.guests.dumps import monitored
from tests.machine.dumps.formats import Segment, compression, flattened, kdump, lime, recompressed, vmcore

HALF = Half(1 << 20, 1 << 30)
"""A kernel half of 4 GB in 4 KiB pages, 8 MB of tables, which are few runs: so that reading is what is measured."""
PAGE, SPARSE_BYTES = 4096, 64 << 30


def pages(ram: bytes) -> dict[int, bytes]:
    return {RAM + at: ram[at : at + PAGE] for at in range(0, len(ram), PAGE)}


FORMS: Mapping[str, Callable[[bytes], bytes]] = {
    "LiME": lambda ram: lime([(RAM, ram)]),
    "ELF core": lambda ram: vmcore([Segment(RAM, ram)]),
    "ELF core, a segment a page": lambda ram: vmcore([Segment(pa, data) for pa, data in pages(ram).items()]),
    "capture": lambda ram: core_bytes(ARCHITECTURES.identity("aarch64"), [{}], 0, pages(ram)),
    "kdump, zlib": lambda ram: kdump(pages(ram)),
    "kdump, lzo": lambda ram: recompressed(kdump(pages(ram)), compression("lzo")),
    "kdump, snappy": lambda ram: recompressed(kdump(pages(ram)), compression("snappy")),
    "kdump, zstd": lambda ram: recompressed(kdump(pages(ram)), compression("zstd")),
    "kdump, zlib, flattened": lambda ram: flattened(kdump(pages(ram))),
}


def raw(folder: Path, ram: bytes) -> str:
    (folder / "raw").write_bytes(ram)
    return f"{folder / 'raw'}@{RAM:#x}"


def sparse(folder: Path, ram: bytes) -> str:
    """64 GiB of nothing, but for the tables."""
    with (folder / "sparse").open("wb") as file:
        file.truncate(SPARSE_BYTES)
        file.seek(RAM)
        file.write(ram)
    return f"{folder / 'sparse'}@0"


def measure(name: str, source: str, given: Path, half: Half) -> None:
    ram = image(half)

    def look() -> None:
        with opened(source, given):
            pass

    opening = timed(look, rounds=3)
    with opened(source, given) as machine:
        started = time.perf_counter()
        runs = runs_of(machine)
        first = time.perf_counter() - started
        again = timed(lambda: runs_of(machine), rounds=3)
    assert sum(run.size_bytes for run in runs) == half.entries * PAGE
    megabytes = len(ram) / (1 << 20)
    rates = f"{megabytes / first:8.1f} MB/s {megabytes / again:8.1f} MB/s"
    print(f"  {name:28} {1000 * opening:8.1f} ms {1000 * first:8.1f} ms {rates}")


@contextmanager
def through_qemu(folder: Path) -> Iterator[str]:
    """A QEMU that stands still, with the tables in its RAM."""
    loader = ("-device", f"loader,file={folder / 'raw'},addr={RAM:#x},force-raw=on", "-S")
    with monitored(GUEST, extra=loader) as guest:
        yield guest.source


def report(smallest: bool = False) -> None:
    half = Half(1 << 12, 1 << 30) if smallest else HALF
    ram = image(half)
    print(f"map of {len(ram) / (1 << 20):.1f} MB of tables from each kind of source, the first time and again:")
    print(f"  {'':28} {'open':>11} {'map':>11} {'tables':>13} {'again':>13}")
    with tempfile.TemporaryDirectory(prefix="gdbtools-bench-") as name:
        folder = Path(name)
        given = folder / "registers.json"
        given.write_text(json.dumps(registers()))
        measure("raw", raw(folder, ram), given, half)
        measure("raw, in 64 GiB, sparse", sparse(folder, ram), given, half)
        for form, convert in FORMS.items():
            try:
                (folder / "dump").write_bytes(convert(ram))
                measure(form, str(folder / "dump"), given, half)
            except Unavailable as missing:
                print(f"  {form:28} not measured: {missing}")
        with through_qemu(folder) as source:
            measure("QEMU, its memory", source, given, half)
            with mock.patch("gdbtools.machine.live.qemu.peer_of", return_value=None):
                measure("QEMU, by its monitor's xp", source, given, half)
