"""Hostile files take no more memory than their size and a constant: each is asked of under such a limit."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gdbtools.machine.dumps.capture import PROGRAM_HEADER
from tests.machine.dumps.formats import ELF_HEADER_BYTES, SHOFF, Segment, lime, note, status, vmcore
from tests.machine.dumps.hostile import PA, captured, chain, loop, thicket
from tests.machine.dumps.test_hostile import ALTERNATING
from tests.places import ROOT


def ask(path: Path, *arguments: str, seconds: int = 120, file_bytes: int | None = None) -> tuple[int, str, str]:
    """Run gdbtools in a process of its own, which may have no more memory than the file's size and a constant."""
    limit = ADDRESS_SPACE_BYTES + (path.stat().st_size if file_bytes is None else file_bytes)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "gdbtools.cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        preexec_fn=limited,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


ADDRESS_SPACE_BYTES = 200 << 20
"""The constant: Python, gdbtools, and what a few thousand runs of mappings take."""


@pytest.mark.parametrize("name", ["loop", "thicket", "every other page"])
@pytest.mark.parametrize("command", ["map", "capture", "fault"])
def test_hostile_tables_take_no_more_memory_than_a_constant(
    name: str, command: str, tmp_path: Path, registers: str
) -> None:
    path = tmp_path / "ram"
    path.write_bytes({"loop": loop(), "thicket": thicket(), "every other page": ALTERNATING}[name])
    words_ = [command, *([str(tmp_path / "core")] if command == "capture" else []), "--json"]
    code, _, err = ask(path, *words_, "-s", f"{path}@{PA:#x}", "--registers", registers)
    assert code in (0, 1), err


MEGABYTES, NOTES_MEGABYTES = 8, 32


def many_segments() -> bytes:
    """As many program headers as the file can hold, each of all of it; a section says how many."""
    count = (MEGABYTES << 20) // PROGRAM_HEADER.size
    data = bytearray(vmcore([Segment(PA, b"x" * 64)]))
    one = PROGRAM_HEADER.pack(1, 4, 0, 0, PA, MEGABYTES << 20, MEGABYTES << 20, 0)
    struct.pack_into("<Q", data, 32, ELF_HEADER_BYTES)
    struct.pack_into("<H", data, 56, 0xFFFF)
    struct.pack_into("<Q", data, SHOFF, ELF_HEADER_BYTES + len(one) * count)
    struct.pack_into("<HH", data, 58, 64, 1)
    section = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, count, 0, 0)
    return bytes(data[:ELF_HEADER_BYTES]) + one * count + section


def many_notes() -> bytes:
    """As many registers of CPUs as fit."""
    one = note(b"CORE", 1, status())
    return vmcore([], one * ((NOTES_MEGABYTES << 20) // len(one)))


def many_ranges() -> bytes:
    return lime([(PA + 2 * number, b"x") for number in range((MEGABYTES << 20) // 33)])


def nested_segments() -> bytes:
    """Each over all of those before it."""
    count = 5_000
    return vmcore([Segment(PA + 16 * number, b"", at=0) for number in range(count)], bytes(12)).replace(
        struct.pack("<QQ", 0, 0), struct.pack("<QQ", 1 << 18, 1 << 18)
    )


def deep_note() -> bytes:
    return captured(chain()).replace(b'{"version": 1', b"[" * 13)


def wide_note() -> bytes:
    """A note of objects, which take more room than they have letters."""
    return vmcore(
        [], note(b"gdbtools", 0x4D4D55, b'{"version": 1, "x": [' + b"{}," * (NOTES_MEGABYTES << 18) + b"{}]}")
    )


LARGE: dict[str, Callable[[], bytes]] = {
    each.__name__: each for each in (many_segments, many_notes, many_ranges, nested_segments, deep_note, wide_note)
}


@pytest.mark.parametrize("name", LARGE)
def test_large_hostile_files_take_no_more_memory_than_their_size_and_a_constant(
    name: str, tmp_path: Path, registers: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(LARGE[name]())
    code, out, err = ask(path, "walk", "0x1000", "-s", str(path), "--registers", registers)
    assert code in (0, 1, 3), err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 1
    assert bool(out) != bool(err)


def long_names() -> bytes:
    """Symbols whose names are all of one long string's endings, and several tables of the same symbols."""
    strings = b"\0" + b"n" * 4000 + b"\0"
    count = (MEGABYTES << 20) // 24
    symbols = b"".join(struct.pack("<IBBHQQ", 1 + number % 3000, 0, 0, 1, number, 0) for number in range(count))
    header = bytearray(vmcore([])[:ELF_HEADER_BYTES])
    at = ELF_HEADER_BYTES + len(strings) + len(symbols)
    struct.pack_into("<Q", header, SHOFF, at)
    struct.pack_into("<HHH", header, 58, 64, 4, 0)
    struct.pack_into("<H", header, 56, 0)
    table = struct.pack("<IIQQQQIIQQ", 0, 2, 0, 0, ELF_HEADER_BYTES + len(strings), len(symbols), 1, 0, 0, 24)
    string_table = struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, ELF_HEADER_BYTES, len(strings), 0, 0, 0, 0)
    return bytes(header) + strings + symbols + bytes(64) + string_table + table + table


def test_symbols_that_share_their_names_or_tables_are_bounded_too(tmp_path: Path, registers: str) -> None:
    path = tmp_path / "elf"
    path.write_bytes(long_names())
    code, _, err = ask(path, "walk", "main", "--elf", str(path), "-s", f"{path}@0", "--registers", registers)
    assert code in (2, 3), err
    assert len(err.splitlines()) == 1
    assert "cut short" in err


def test_the_limit_on_memory_is_one(tmp_path: Path) -> None:
    """So that the tests above can fail."""
    path = tmp_path / "file"
    path.write_bytes(b"")
    limit = ADDRESS_SPACE_BYTES
    program = f"import gdbtools.cli; x = bytearray({limit})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
        check=False,
    )
    assert "MemoryError" in done.stderr
