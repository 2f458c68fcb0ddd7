"""Where memory is, and where of it data: for who has to look at all of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.dumps.extents import data_of, memory_of
from gdbtools.machine.layers import Patched
from gdbtools.machine.live.qemu_ram import GuestRam, Window
from gdbtools.machine.sources import open_source
from tests.places import ROOT

BASE, GIGA, MEGA = 0x4000_0000, 1 << 30, 1 << 20
OSV = ROOT / "fixtures/captures/osv-1131.core"


@pytest.fixture
def sparse(tmp_path: Path) -> str:
    """64 GiB with a megabyte at its beginning, one in its middle, and one at its end."""
    with (tmp_path / "ram").open("wb") as file:
        file.truncate(64 * GIGA)
        for at in (0, 32 * GIGA, 64 * GIGA - MEGA):
            file.seek(at)
            file.write(b"\xff" * MEGA)
    if os.stat(tmp_path / "ram").st_blocks * 512 > GIGA:
        pytest.skip("this file system has no sparse files")
    return f"{tmp_path / 'ram'}@{BASE:#x}"


def test_the_holes_of_an_image_are_memory_without_data(sparse: str) -> None:
    memory = open_source(sparse, architecture="aarch64").memory
    assert memory_of(memory) == [(BASE, 64 * GIGA)]
    data = data_of(memory)
    assert [first for first, _ in data] == [BASE, BASE + 32 * GIGA, BASE + 64 * GIGA - MEGA]
    assert all(MEGA <= size < 2 * MEGA for _, size in data)
    assert memory.read(BASE + GIGA, 8) == bytes(8)


def test_a_range_cuts_both(sparse: str) -> None:
    memory = open_source(sparse, architecture="aarch64").memory
    wanted = (BASE + MEGA // 2, 33 * GIGA)
    assert memory_of(memory, wanted) == [wanted]
    assert data_of(memory, wanted)[0] == (BASE + MEGA // 2, MEGA // 2)
    assert len(data_of(memory, wanted)) == 2
    assert data_of(memory, (BASE + GIGA, GIGA)) == []


def test_a_file_that_is_all_holes_has_no_data(tmp_path: Path) -> None:
    with (tmp_path / "ram").open("wb") as file:
        file.truncate(16 * MEGA)
    memory = open_source(f"{tmp_path / 'ram'}@0x0", architecture="aarch64").memory
    assert (memory_of(memory), data_of(memory)) == ([(0, 16 * MEGA)], [])


def test_a_core_has_what_its_segments_say() -> None:
    memory = open_source(str(OSV)).memory
    assert sum(size for _, size in memory_of(memory)) == 28 << 12
    assert data_of(memory) == memory_of(memory)
    assert memory_of(Patched(memory, 0x408E_5000, b"")) == memory_of(memory)


class Stub:
    """A gdbstub, that knows no more than what it is asked."""

    description = "a stub"

    def read(self, pa: int, size_bytes: int) -> bytes:
        raise Unreadable(pa, size_bytes, "nothing is there")

    def write(self, pa: int, data: bytes) -> None:
        raise AssertionError


def test_a_live_guest_has_its_ram_where_the_windows_on_it_are() -> None:
    window = Window(BASE, MEGA, lambda at, size: bytes(size), lambda at, data: None, "a file")
    assert memory_of(GuestRam(Stub(), lambda: [window])) == [(BASE, MEGA)]
    assert data_of(GuestRam(Stub(), lambda: [window]), (BASE + 4096, 8192)) == [(BASE + 4096, 8192)]


@pytest.mark.parametrize("memory", [Stub(), GuestRam(Stub(), list)], ids=["stub", "no windows"])
def test_where_nobody_says_where_memory_is_the_user_has_to(memory) -> None:
    with pytest.raises(Unavailable, match="a stub does not say where memory is; name the range"):
        memory_of(memory)
    assert memory_of(memory, (BASE, MEGA)) == data_of(memory, (BASE, MEGA)) == [(BASE, MEGA)]
