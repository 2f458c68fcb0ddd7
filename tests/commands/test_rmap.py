"""`gdbtools rmap`: every address that leads to a page is listed, and mappings that disagree are a finding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.arch.aarch64.truth.machine import IPA, PA, VA, Memory, guest
from tests.commands.test_find_roots import PROCESS, ROOT, both
from tests.commands.test_map import DEVICE, NORMAL, saved
from tests.images import BASE, CODE
from tests.places import ROOT as REPOSITORY
from tests.tables import Tables

CAPTURES = REPOSITORY / "fixtures/captures"
MEGA = 1 << 20
PAGE = 0x8000_3000


def ask(capsys: pytest.CaptureFixture[str], words: list[str], status: int = 0) -> list[dict[str, Any]]:
    assert main(["rmap", *words, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return [json.loads(line)["result"] for line in out.splitlines()]


def lower(tables: Tables) -> dict[str, int]:
    registers = tables.registers()
    return registers | {"TCR_EL1": registers["TCR_EL1"] | 1 << 23}


@pytest.fixture
def tables() -> Tables:
    """A page that a page and a block lead to, both Normal."""
    made = Tables(_next=0x4000_1000)
    made.map(0x1000, PAGE, AttrIndx=NORMAL, SH=3, AP=0b01)
    made.map(0x4000_0000, 0x8000_0000, 2, AttrIndx=NORMAL, SH=3)
    made.map(0x2000, 0x8100_0000, AttrIndx=NORMAL, SH=3)
    return made


def where(answer: dict[str, Any]) -> list[int]:
    return [int(each["address"], 16) for each in answer["mappings"]]


def test_a_page_and_a_block_that_lead_to_it_are_both_listed_to_the_byte(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = saved(tables, tmp_path, lower(tables))
    (found,) = ask(capsys, [*words, hex(PAGE + 0x123)])
    assert where(found) == [0x1123, 0x4000_3123]
    assert [each["block_size"] for each in found["mappings"]] == [4096, 2 * MEGA]
    assert found["disagreements"] == []
    one, none = ask(capsys, [*words, "0x81000000", "0x90000000"])
    assert (where(one), where(none)) == ([0x2000], [])


def test_two_memory_types_of_one_page_are_a_finding(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables.map(0x5000, PAGE, AttrIndx=DEVICE)
    words = saved(tables, tmp_path, lower(tables))
    (found,) = ask(capsys, [*words, hex(PAGE)], status=1)
    assert where(found) == [0x1000, 0x5000, 0x4000_3000]
    [memory, shareability] = found["disagreements"]
    assert memory.startswith("memory type: Device")
    assert shareability.startswith("shareability: ")
    assert main(["rmap", *words, hex(PAGE)]) == 1
    assert capsys.readouterr().out.startswith(f"PA {PAGE:#x}: 3 mappings, and they disagree.")


def test_what_is_out_of_force_disagrees_with_nothing(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beyond = 1 << 47
    tables.map(0x5000, beyond, AttrIndx=DEVICE)
    tables.map(0x6000, beyond, AttrIndx=NORMAL)
    small = lower(tables)
    small["TCR_EL1"] &= ~(7 << 32)
    words = saved(tables, tmp_path, small)
    (found,) = ask(capsys, [*words, hex(beyond)])
    assert all(each["fault"]["kind"] == "address size" for each in found["mappings"])
    assert found["disagreements"] == []


def test_a_virtual_address_is_asked_for_where_it_leads(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = saved(tables, tmp_path, lower(tables))
    (found,) = ask(capsys, [*words, "--virtual", "0x40003008"])
    assert found["physical"] == f"{PAGE + 8:#018x}"
    assert where(found) == [0x1008, 0x4000_3008]
    (found,) = ask(capsys, [*words, "--virtual", "0x7000"], status=1)
    assert (found["physical"], found["mappings"]) == (None, [])
    main(["rmap", *words, "--virtual", "0x7000"])
    assert capsys.readouterr().out.startswith("0x7000 leads nowhere: translation fault, level 3.")


def test_through_two_stages_the_guest_s_address_and_the_intermediate_one_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = Memory()
    memory.stage1(0, output=IPA)
    memory.identity(0b1111 << 2 | 0b11 << 6)
    memory.stage2(0b1111 << 2 | 0b11 << 6)
    words = saved(memory, tmp_path, guest() | {"TCR_EL1": guest()["TCR_EL1"] | 1 << 23})
    (found,) = ask(capsys, [*words, hex(PA)])
    assert [(each["stage"], int(each["address"], 16)) for each in found["mappings"]] == [(1, VA), (2, IPA)]
    assert int(found["mappings"][0]["ipa"], 16) == IPA
    main(["rmap", *words, hex(PA)])
    assert f"IPA {IPA:#x}" in capsys.readouterr().out


def test_roots_in_memory_are_looked_through_where_that_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kernel in force, and two processes that are not: a page of theirs is the kernel's by its linear map, too."""
    (tmp_path / "ram.bin").write_bytes(both().data)
    registers = Tables(12, 25, ROOT).registers() | {"TCR_EL1": Tables(12, 25).registers()["TCR_EL1"] | 1 << 7}
    (tmp_path / "registers.json").write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
    words = ["-s", f"{tmp_path / 'ram.bin'}@{BASE:#x}", "--registers", str(tmp_path / "registers.json")]
    code = BASE + CODE
    (without,) = ask(capsys, [*words, hex(code)])
    assert [(each["cpus"], int(each["root"], 16)) for each in without["mappings"]] == [([0], ROOT)]
    (found,) = ask(capsys, [*words, hex(code), "--roots"])
    theirs = [(int(each["root"], 16), int(each["address"], 16)) for each in found["mappings"] if not each["cpus"]]
    assert theirs == [(PROCESS, 0x40_0000), (PROCESS + 4096, 0x40_0000)]
    main(["rmap", *words, hex(code), "--roots"])
    assert f"root {PROCESS:#x}: found in memory" in " ".join(capsys.readouterr().out.split())


def test_each_row_says_its_own_shareability_where_that_is_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    main(["rmap", "0x4ba00000", "-s", str(CAPTURES / "linux-6.1.core")])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("VA ")]
    assert ["Inner Shareable, dirty, nG, differs" in row for row in rows] == [True, False]
    assert ["Outer Shareable, dirty, nG, differs" in row for row in rows] == [False, True]
