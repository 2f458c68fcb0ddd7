"""Hostile input: a fuzz run over every parser, and the worst files that we could think of.

The runs take seconds; GDBTOOLS_FULL=1 makes them 10 minutes together, and GDBTOOLS_FUZZ_SECONDS=N any length each.
"""

from __future__ import annotations

import base64
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Hole, Run
from gdbtools.cli import main
from gdbtools.machine.dumps.capture import PROGRAM_HEADER
from gdbtools.machine.sources import open_source
from tests.machine.dumps import hostile
from tests.machine.dumps.formats import ELF_HEADER_BYTES, Segment, flattened, kdump, lime, note, status, vmcore
from tests.machine.dumps.hostile import (
    PA,
    PAGE,
    REGISTERS,
    TARGETS,
    TOGETHER,
    VALID_PAGE,
    VALID_TABLE,
    blocks,
    captured,
    chain,
    loop,
    thicket,
    words,
)
from tests.places import ROOT
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
FULL = os.environ.get("GDBTOOLS_FULL") == "1"
SECONDS = int(os.environ.get("GDBTOOLS_FUZZ_SECONDS") or (70 if FULL else 5))
RUNS = {**TARGETS, "together": TOGETHER} if FULL else {"together": TOGETHER, "tables": TARGETS["tables"]}
ONE_INPUT_SECONDS, MEMORY_MEGABYTES = 60, 400
"""What one input may take at most, on a busy machine, and the whole run; a file is at most 100 KB."""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="no atheris: pip install '.[dev]', on x86-64 Linux")
@pytest.mark.parametrize("name", RUNS)
def test_nothing_that_fuzzing_finds_is_more_than_a_line(name: str, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(RUNS[name].seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    # A process starts with the peak memory of the one it came from, which libFuzzer would count: hence a shell between.
    command = ["sh", "-c", '"$@"; exit $?', "sh"]
    command += [sys.executable, "-m", "tests.machine.fuzz", name, str(corpus), f"-max_total_time={SECONDS}"]
    command += [f"-timeout={ONE_INPUT_SECONDS}", f"-rss_limit_mb={MEMORY_MEGABYTES}", f"-artifact_prefix={tmp_path}/"]
    # libFuzzer ends the process itself, and leaves what is in the folder for temporary files.
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    found = [each for each in tmp_path.glob("*-*") if not each.name.startswith("slow-unit")]
    # The input itself: pytest does not keep its folders for long.
    inputs = [base64.b64encode(zlib.compress(each.read_bytes())).decode() for each in found]
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-1000:]}\nzlib, base64: {inputs}"
    assert not found, inputs
    assert "DONE" in done.stderr, "it ran to its end"


@pytest.mark.parametrize("name", TARGETS)
def test_each_seed_is_taken_whole(name: str, tmp_path: Path) -> None:
    """So that the runs begin beyond the first check."""
    for number, seed in enumerate(TARGETS[name].seeds):
        path = tmp_path / f"seed-{number}"
        path.write_bytes(seed)
        TARGETS[name].take(path)


FILES: dict[str, Callable[[], bytes]] = {
    "a capture": lambda: captured(chain()),
    "LiME": lambda: lime([(PA, chain()), (1 << 40, b"x" * 64)]),
    "vmcore": lambda: vmcore([Segment(PA + PAGE, b"t" * 64), Segment(PA, chain())], note(b"CORE", 1, status())),
    "kdump": lambda: kdump(blocks(chain()), note(b"CORE", 1, status())),
    "flattened": lambda: flattened(kdump(blocks(chain()))),
}


def boundaries(data: bytes) -> list[int]:
    """Return where headers, notes and segments begin and end, and the bytes beside; and some places in between."""
    places = {0, 4, 16, ELF_HEADER_BYTES, 32, 4096, 8192, 12288, len(data)}
    if data[:4] == b"\x7fELF":
        (count,) = struct.unpack_from("<H", data, 56)
        for number in range(count):
            at = ELF_HEADER_BYTES + PROGRAM_HEADER.size * number
            _, _, offset, _, _, size, _, _ = PROGRAM_HEADER.unpack_from(data, at)
            places |= {at, at + PROGRAM_HEADER.size, offset, offset + size, offset + 12}
    places |= {len(data) * part // 16 for part in range(16)}
    return sorted({min(max(each + beside, 0), len(data)) for each in places for beside in (-1, 0, 1)})


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_short_anywhere_is_answered_or_refused(
    name: str, tmp_path: Path, registers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = FILES[name]()
    path = tmp_path / "file"
    statuses = set()
    for keep in boundaries(data):
        path.write_bytes(data[:keep])
        statuses.add(main(["walk", "0x1000", "-s", str(path), "--registers", registers]))
        out, err = capsys.readouterr()
        assert bool(out) != bool(err), keep
        assert len(err.splitlines()) <= 1
    assert 3 in statuses
    assert statuses & {0, 1}, "whole, it is answered"


def test_a_root_that_maps_everything_to_one_page_is_listed_at_once_and_says_so(
    tmp_path: Path, registers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own table at every level: 2^36 pages, each the table itself."""
    path = tmp_path / "ram"
    path.write_bytes(loop())
    assert main(["map", "-s", f"{path}@{PA:#x}", "--registers", registers]) == 0
    out = capsys.readouterr().out
    assert "1 run of 68719476736 leaves, 256TB" in out
    assert "all one page" in " ".join(out.split())


def listed(memory: bytes, wanted: tuple[int, int] | None = None) -> list[Run | Hole]:
    from gdbtools.errors import Unreadable

    def read(pa: int, size_bytes: int) -> bytes:
        if not PA <= pa <= PA + len(memory) - size_bytes:
            raise Unreadable(pa, size_bytes, "it is not there")
        return memory[pa - PA : pa - PA + size_bytes]

    return list(mappings_of(ARM.regime_for(reader(REGISTERS), 0), read, wanted))


ALTERNATING = words([PA | VALID_PAGE if index % 2 else 0 for index in range(512)])


def shared() -> bytes:
    """A table for each level, each of whose entries leads to the one of the next: none leads back."""
    upper = [words([PA + PAGE * (level + 1) | VALID_TABLE] * 512) for level in range(3)]
    return b"".join(upper) + words([PA + PAGE * 8 | VALID_PAGE if index % 2 else 0 for index in range(512)])


OVER_AND_OVER = {"every other page": ALTERNATING, "thicket": thicket(), "shared": shared()}


@pytest.mark.parametrize("memory", OVER_AND_OVER.values(), ids=OVER_AND_OVER)
def test_tables_that_are_met_over_and_over_are_given_up_with_the_rest_as_one_hole(memory: bytes) -> None:
    *runs, rest = listed(memory)
    assert isinstance(rest, Hole)
    assert "descriptors, which are met over and over: ask for a range" in rest.why
    assert rest.first + rest.size_bytes == 1 << 48
    assert rest.first == max(run.first + run.size_bytes for run in runs) or rest.first > runs[-1].first
    assert len(runs) < 8 * len(memory) + (1 << 13)


def test_a_range_of_what_was_given_up_can_be_asked_for() -> None:
    whole = listed(ALTERNATING)
    far = (1 << 47) + (1 << 39 | 1 << 30 | 1 << 21)
    (one,) = listed(ALTERNATING, (far + 0x1000, 0x1000))
    assert isinstance(one, Run)
    assert (one.first, one.size_bytes, one.output) == (far + 0x1000, 0x1000, PA)
    assert whole[-1].first < far, "the list had ended before"


def test_map_of_64_gib_reads_the_tables_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(64 << 30)
        file.seek(PA)
        file.write(chain())
    machine = open_source(f"{path}@0", architecture="aarch64")
    reads: list[tuple[int, int]] = []

    def read(pa: int, size_bytes: int) -> bytes:
        reads.append((pa, size_bytes))
        return machine.memory.read(pa, size_bytes)

    found = list(mappings_of(ARM.regime_for(reader(REGISTERS), 0), read))
    assert [run.first for run in found] == [0, 0x2000]
    assert reads == [(PA + PAGE * level, PAGE) for level in range(4)]


def test_real_tables_are_never_given_up() -> None:
    """Every page of its own kind, as many as the tables hold."""
    last = words([PA + PAGE * number | VALID_PAGE | (number & 1) << 7 for number in range(512)])
    upper = [words([PA + PAGE * (level + 1) | VALID_PAGE] + [0] * 511) for level in range(3)]
    found = listed(b"".join(upper) + last)
    assert len(found) == 512
    assert all(isinstance(each, Run) for each in found)


def test_the_targets_are_every_parser() -> None:
    """A parser that is added wants a target."""
    assert set(hostile.TARGETS) >= {"core", "lime", "kdump", "flattened", "tables", "symbols", "registers", "log"}
