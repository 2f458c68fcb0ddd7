"""What Linux on x86-64 keeps in entries that are not present: its formats, and what commands say of them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from gdbtools.addresses import VA
from gdbtools.cli import main
from gdbtools.systems.linux.x86_64_entries import absent, withheld
from tests.arch.x86_64.test_page_faults import REGISTERS, image

USER, KERNEL = VA(0x7F00_0000_4000), VA(0xFFFF_8880_0000_0000)
P, RW, US, A, D, PS, PROTNONE = 1, 2, 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8
FRAMES = (1 << 52) - (1 << 12)
ALL = (1 << 64) - 1


def swap(kind: int, offset: int, flags: int = 0) -> int:
    """Encode an entry as Linux does: the type on top, the offset inverted below it."""
    return kind << 59 | (~offset & (1 << 50) - 1) << 9 | flags


def prot_none(pa: int, flags: int = RW | US | A | D) -> int:
    return ~pa & FRAMES | flags | PROTNONE


@pytest.mark.parametrize("entry", [0, A, A | D])
def test_an_empty_entry_says_nothing_whatever_an_erratum_has_set_in_it(entry: int) -> None:
    assert absent(USER, entry, 1) == ""


@pytest.mark.parametrize(("level", "pa"), [(1, 0x1234_5000), (2, 0x1240_0000), (1, (1 << 45) + 0x1000)])
def test_prot_none_has_its_address_inverted(level: int, pa: int) -> None:
    said = absent(USER, prot_none(pa, RW | US | (PS if level > 1 else 0)), level)
    assert said.startswith("PROT_NONE, or NUMA balancing waits for it: bit 8 is set")
    assert said.endswith(f"the page is at PA {pa:#x}, inverted in the entry")


def test_a_huge_page_that_is_being_split_is_told_from_a_swap_entry() -> None:
    said = absent(USER, ~0x40_0000 & FRAMES | PS | US, 2)
    assert said == "a huge page that is being split or changed, at PA 0x400000, inverted in the entry"


@pytest.mark.parametrize(("kind", "offset"), [(0, 0), (0, 0x1234), (20, (1 << 50) - 1)])
def test_a_swap_entry_has_its_offset_inverted(kind: int, offset: int) -> None:
    assert absent(USER, swap(kind, offset), 1) == f"swapped out: page {offset:#x} of swap area {kind}"


def test_flags_of_a_swap_entry_are_told() -> None:
    said = absent(USER, swap(1, 7, 1 << 1 | 1 << 2 | 1 << 3), 1)
    assert said == (
        "swapped out: page 0x7 of swap area 1; no other process has the page; userfaultfd write-protects it; "
        "written since somebody asked"
    )


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            26,
            "type 26: a page on its way elsewhere (migration), for writing (6.1 to 6.14), or a page on its way "
            "elsewhere (migration), for reading, exclusive (6.15 to 6.18), or a device's page, for reading (6.19)",
        ),
        (
            23,
            "type 23: a page with a hardware error (6.1 to 6.14), or page 0x9 of swap area 23 (6.15 to 6.18), or a "
            "page on its way elsewhere (migration), for reading, exclusive (6.19)",
        ),
    ],
)
def test_what_is_no_swap_area_is_told_by_the_versions_that_have_it_so(kind: int, said: str) -> None:
    assert absent(USER, swap(kind, 9), 1) == said


def test_a_marker_is_the_last_type_in_each_version() -> None:
    assert absent(USER, swap(31, 1), 1) == "a marker: userfaultfd write-protects it"
    assert absent(USER, swap(31, 4), 1) == "a marker: a guard (6.13 and later)"


def test_of_the_kernels_addresses_and_of_tables_nothing_is_said() -> None:
    assert absent(KERNEL, swap(0, 1), 1) == ""
    assert absent(USER, 0, 4) == ""


def test_a_page_that_userfaultfd_protects_is_told_by_its_bit() -> None:
    assert withheld(USER, P | US | 1 << 10) == "userfaultfd write-protects it"
    assert withheld(USER, P | RW | US | 1 << 10) == ""
    assert withheld(USER, P | US) == ""


@pytest.mark.parametrize(
    ("entry", "code", "said"),
    [
        (prot_none(0x4000), 4, "PROT_NONE, or NUMA balancing waits for it: bit 8 is set; the page is at PA 0x4000"),
        (swap(3, 0x21), 4, "swapped out: page 0x21 of swap area 3"),
        (0x4000 | P | US | 1 << 10, 7, "userfaultfd write-protects it"),
    ],
)
def test_the_commands_say_it_with_whose_convention_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], entry: int, code: int, said: str
) -> None:
    memory = image(code)
    memory[0x5020:0x5028] = struct.pack("<Q", entry)
    (tmp_path / "ram").write_bytes(memory)
    file = tmp_path / "registers.json"
    file.write_text(json.dumps({name: hex(value) for name, value in (REGISTERS | {"error_code": code}).items()}))
    source = ["-s", f"{tmp_path / 'ram'}@0x0", "--registers", str(file)]
    for words in (["fault"], ["walk", "0x4000", "--access", "write", "--privilege", "user"]):
        assert main([*words, *source]) == 1
        assert f"software by Linux's convention: {said}" in " ".join(capsys.readouterr().out.split())
        assert main([*words, *source, "--json"]) == 1
        assert said in json.loads(capsys.readouterr().out)["result"]["software"]
