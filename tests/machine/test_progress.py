"""Memory whose reads are counted gives what the memory under it gives, and tells now and then."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gdbtools.errors import Unreadable
from gdbtools.machine import progress
from gdbtools.machine.progress import CountedMemory


@dataclass
class Memory:
    description: str = "some memory"
    written: bytes = b""

    def read(self, pa: int, size_bytes: int) -> bytes:
        if pa == 0xBAD:
            raise Unreadable(pa, size_bytes, "bad")
        return bytes([pa & 0xFF]) * size_bytes

    def write(self, pa: int, data: bytes) -> None:
        self.written = data


def test_reads_writes_and_errors_are_those_of_the_memory_under_it() -> None:
    under = Memory()
    counted = CountedMemory(under, lambda reads, size_bytes: None)
    assert counted.read(7, 3) == b"\x07\x07\x07"
    counted.write(1, b"x")
    assert under.written == b"x"
    assert counted.description == "some memory"
    with pytest.raises(Unreadable):
        counted.read(0xBAD, 8)


def test_what_is_told_is_how_much_was_read_and_never_more_often_than_every_so_often(monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    told: list[tuple[int, int]] = []
    counted = CountedMemory(Memory(), lambda reads, size_bytes: told.append((reads, size_bytes)))
    for moment in (0.0, 0.05, 0.11, 0.12, 0.2, 0.22):
        now[0] = moment
        counted.read(0, 4096)
    assert told == [(3, 3 * 4096), (6, 6 * 4096)]
