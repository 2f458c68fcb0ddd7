"""illumos: the window on all of memory that shows that it is there, and its software bits.

No illumos was booted: memory is made as its source lays it out.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main

P, RW, US, A, D, LARGE, NX = 1, 2, 4, 0x20, 0x40, 0x80, 1 << 63
NOSYNC, NOCONSIST, FOREIGN = 0x200, 0x400, 0x600
ROOT, WINDOW_TABLE, WINDOW_PAGES, TEXT_TABLE, TEXT_PAGES = (0x1000 * each for each in range(1, 6))
WINDOW, TEXT = 0xFFFF_FE00_0000_0000, 0xFFFF_FFFF_FB80_0000
TEXT_PA = 0x20_0000
WORD = struct.Struct("<Q")
REGISTERS = {
    "cr0": 0x8005_003B, "cr2": 0x10, "cr3": ROOT, "cr4": 0x6F8, "efer": 0xD01, "maxphyaddr": 40, "cs": 0x30,
    "eflags": 0x1_0246, "rip": TEXT + 0x123, "rsp": WINDOW + 0x8000, "error_code": 2,
}  # fmt: skip


def index(va: int, shift: int) -> int:
    return va >> shift & 511


def layout() -> dict[int, int]:
    """Return entries by where they are: a window on 4 MB of memory, and a page of 2 MB of the kernel's text."""
    return {
        ROOT + 8 * index(WINDOW, 39): WINDOW_TABLE | P | RW | A | US,
        WINDOW_TABLE: WINDOW_PAGES | P | RW | A | US,
        WINDOW_PAGES: P | RW | A | D | LARGE | NX | NOCONSIST,
        WINDOW_PAGES + 8: TEXT_PA | P | RW | A | D | LARGE | NX | NOCONSIST,
        ROOT + 8 * index(TEXT, 39): TEXT_TABLE | P | RW | A | US,
        TEXT_TABLE + 8 * index(TEXT, 30): TEXT_PAGES | P | RW | A | US,
        TEXT_PAGES + 8 * index(TEXT, 21): TEXT_PA | P | A | D | LARGE | NOSYNC,
    }


@pytest.fixture
def asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Ask a command of a machine that has some entries and registers."""

    def ask(command: str, *words: str, entries: dict[int, int] | None = None, **registers: int) -> Any:
        memory = bytearray(0x10000)
        for at, value in (layout() if entries is None else entries).items():
            WORD.pack_into(memory, at, value)
        (tmp_path / "ram").write_bytes(memory)
        (tmp_path / "registers").write_text(json.dumps({n: hex(v) for n, v in (REGISTERS | registers).items()}))
        source = ["-s", f"{tmp_path / 'ram'}@0x0", "--registers", str(tmp_path / "registers"), "--arch", "x86_64"]
        main([command, *words, *source, "--json"])
        return json.loads(capsys.readouterr().out)["result"]

    return ask


def test_it_is_there_where_root_and_tables_lead_back_to_themselves_in_its_window(asked: Any) -> None:
    said = asked("status")["systems"]["illumos"]
    assert said.startswith(f"segkpm has all of memory from VA {WINDOW:#x} on")


@pytest.mark.parametrize(
    "otherwise",
    [
        {WINDOW_PAGES: 0x40_0000 | P | RW | A | D | LARGE | NX},
        {WINDOW_PAGES: 0},
        {ROOT + 8 * index(WINDOW, 39): 0},
        # Another root has the same window, at a place that this one has not.
        {WINDOW_TABLE: 0x7000 | P | RW, 0x7000: 0x8000 | P | RW, 0x8000 + 8 * 1: ROOT | P | RW},
    ],
    ids=["elsewhere", "unmapped", "no table", "root alone"],
)
def test_a_window_that_does_not_lead_back_is_no_sign_of_it(asked: Any, otherwise: dict[int, int]) -> None:
    """Linux has the records of its CPUs at that address."""
    assert "systems" not in asked("status", entries=layout() | otherwise)


def test_with_five_levels_or_an_mmu_that_is_off_nothing_is_claimed(asked: Any) -> None:
    assert "systems" not in asked("status", cr4=0x16F8)
    assert "systems" not in asked("status", cr0=0x5003B)


@pytest.mark.parametrize(
    ("va", "said"),
    [
        (
            WINDOW + 0x3000,
            "by illumos's convention: A and D were set when it was made, and say nothing, and its page has no record "
            "of this mapping (NOCONSIST)",
        ),
        (TEXT, "by illumos's convention: A and D were set when it was made, and say nothing (NOSYNC)"),
    ],
    ids=["NOCONSIST", "NOSYNC"],
)
def test_a_leaf_says_when_its_accessed_and_dirty_bits_tell_nothing(asked: Any, va: int, said: str) -> None:
    assert asked("walk", hex(va))["software"] == said


def test_the_same_bits_say_nothing_where_no_illumos_is_shown_to_be(asked: Any) -> None:
    entries = layout() | {WINDOW_PAGES: 0}
    assert "software" not in asked("walk", hex(TEXT), entries=entries)


def test_a_leaf_without_them_or_of_a_hypervisors_frame_says_nothing(asked: Any) -> None:
    for bits in (0, FOREIGN):
        at = TEXT_PAGES + 8 * index(TEXT, 21)
        assert "software" not in asked("walk", hex(TEXT), entries=layout() | {at: TEXT_PA | P | A | LARGE | bits})
