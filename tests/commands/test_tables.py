"""`gdbtools tables`: every table is counted once, and those that stand out are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.arch.aarch64.truth.machine import S1_ROOT, S2_ROOT, guest
from tests.arch.test_soft_invalid import CHILD, GRANDCHILD, xens
from tests.arch.x86_64.test_find_roots import EMPTY, KERNEL, linux
from tests.commands.test_map import saved
from tests.places import ROOT as TREE
from tests.tables import Tables

ROOT, SPARE, ORPHAN = 0x4000_0000, 0x4004_0000, 0x4005_0000
CAPTURES = TREE / "fixtures/captures"
TABLE, PAGE = 0b11, 0b11 | 1 << 10


@pytest.fixture
def tables() -> Tables:
    """Three pages and a block in the lower half: five tables."""
    made = Tables(_next=0x4000_1000)
    made.map(0x1000, 0x8000_1000)
    made.map(0x2000, 0x8000_2000)
    made.map(0x4000_0000, 0x8000_3000)
    made.map(0x20_0000, 0x8020_0000, 2)
    return made


def ask(capsys: pytest.CaptureFixture[str], words: list[str], status: int = 0) -> dict[str, Any]:
    assert main(["tables", *words, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)["result"]


def text(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    assert main(["tables", *words]) == 0
    return capsys.readouterr().out


def lower(tables: Tables) -> dict[str, int]:
    """The registers with the upper half off."""
    registers = tables.registers()
    return registers | {"TCR_EL1": registers["TCR_EL1"] | 1 << 23}


def test_of_the_kernel_s_space_only_its_own_half_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    linux = ["-s", str(CAPTURES / "linux-6.1.core")]
    all_of_it, own = (ask(capsys, [*linux, *words]) for words in ((), ("--space", "kernel")))
    assert {each["first"] < f"{1 << 63:#018x}" for each in own["tables"]} == {False}
    assert own["tables"] == [each for each in all_of_it["tables"] if each["first"] >= f"{1 << 63:#018x}"]


def test_a_kernel_of_the_lower_half_has_both(capsys: pytest.CaptureFixture[str]) -> None:
    osv = ["-s", str(CAPTURES / "osv-1131.core")]
    assert ask(capsys, [*osv, "--space", "kernel"])["tables"] == ask(capsys, osv)["tables"]


def test_each_table_is_counted_once_with_what_its_entries_are(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables.memory[0x4000_3000 + 8 * 8] = 0xBEEF << 8
    words = saved(tables, tmp_path, lower(tables))
    found = ask(capsys, words)
    rows = [(each["levels"], each["tables"], each["leaves"], each["invalid"]) for each in found["tables"]]
    assert rows == [([0], 1, 0, 0), ([1], 2, 0, 0), ([2], 1, 1, 0), ([2], 1, 0, 0), ([3], 0, 2, 1), ([3], 0, 1, 0)]
    assert found["size"] == 6 * 4096
    assert not any(each["empty"] or each["shared"] for each in found["tables"])
    assert {each["references"] for each in found["tables"]} == {1}
    assert [each["first"] for each in found["tables"]][3] == f"{0x4000_0000:#018x}"
    shown = text(capsys, words)
    assert shown.startswith("6 tables, 24KB: none is empty or shared.")
    assert [line.split() for line in shown.splitlines()[2:7]] == [
        ["level", "an", "entry", "tables", "live", "filled", "to", "tables", "leaves", "invalid,", "not", "0"],
        ["0", "512GB", "1", "1", "of", "512", "0.2%", "1", "0", "0"],
        ["1", "1GB", "1", "2", "of", "512", "0.4%", "2", "0", "0"],
        ["2", "2MB", "2", "3", "of", "1024", "0.3%", "2", "1", "0"],
        ["3", "4KB", "2", "3", "of", "1024", "0.3%", "0", "3", "1"],
    ]


def test_empty_shared_and_recursive_tables_stand_out(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    level2, level3 = 0x4000_2000, 0x4000_3000
    tables.memory[level2 + 8 * 7] = level3 | TABLE
    tables.memory[level2 + 8 * 9] = SPARE | TABLE
    tables.memory[ROOT + 8 * 511] = ROOT | TABLE
    tables.memory[SPARE + 4088] = 0
    words = saved(tables, tmp_path, lower(tables))
    found = {each["address"]: each for each in ask(capsys, words)["tables"]}
    root, shared, empty = (found[f"{at:#018x}"] for at in (ROOT, level3, SPARE))
    assert (root["leads_to_itself"], root["shared"], root["levels"]) == (True, False, [0, 1, 2, 3])
    assert (shared["shared"], shared["references"], shared["leads_to_itself"]) == (True, 2, False)
    assert empty["empty"]
    assert empty["references"] == 1
    shown = text(capsys, words)
    assert shown.startswith("7 tables, 28KB: 1 empty, 1 shared, 1 leading to itself.")
    listed = [line.split()[0] for line in shown.splitlines() if line.startswith("0x")]
    assert listed == [f"{at:#x}" for at in (ROOT, level3, SPARE)]
    everything = [line for line in text(capsys, [*words, "--all"]).splitlines() if line.startswith("0x")]
    assert len(everything) == 7


def test_a_table_of_two_roots_is_shared_by_both(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = saved(tables, tmp_path, tables.registers())
    found = ask(capsys, words)
    assert {tuple(each["roots"]) for each in found["tables"]} == {("TTBR0_EL1", "TTBR1_EL1")}
    assert [each["references"] for each in found["tables"]][:2] == [2, 1], "an entry counts once, whoever reads it"
    assert "shared by TTBR0_EL1 and TTBR1_EL1" in " ".join(text(capsys, words).split())


def test_both_stages_are_counted_and_soft_invalid_entries_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = saved(xens(GRANDCHILD), tmp_path, guest(), 0x4000_0000 if min(S1_ROOT, S2_ROOT) >= 0x4000_0000 else 0)
    found = {each["address"]: each for each in ask(capsys, [*words, "--regime", "stage2"])["tables"]}
    assert set(found) == {f"{at:#018x}" for at in (S2_ROOT, CHILD, GRANDCHILD)}
    assert [found[f"{GRANDCHILD:#018x}"][what] for what in ("leaves", "soft_invalid", "empty")] == [1, 1, False]


def test_the_root_is_listed_first_where_levels_count_down_too(capsys: pytest.CaptureFixture[str]) -> None:
    shown = text(capsys, ["-s", str(CAPTURES / "nested.core"), "--regime", "npt", "--all"])
    rows = [line.split() for line in shown.splitlines()]
    assert [row[0] for row in rows if row[:1] and row[0].isdigit() and row[1] != "tables,"] == ["4", "3", "2", "1"]
    assert [row[1] for row in rows if row and row[0].startswith("0x")] == ["4", "3", "2", "1"]


@pytest.mark.parametrize("depth", [4, 5])
def test_where_one_root_has_both_halves_each_table_has_an_address_that_is_canonical(
    depth: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Linux has it for x86-64: the root's upper half is full of tables in which there is nothing yet."""
    memory = linux(depth, prepared=True)
    (tmp_path / "ram.bin").write_bytes(memory.data)
    registers = {"cr0": "0x80010001", "cr3": hex(KERNEL), "cr4": hex(0x20 | (depth == 5) << 12), "efer": "0xd00"}
    (tmp_path / "registers.json").write_text(json.dumps(registers))
    words = ["-s", f"{tmp_path / 'ram.bin'}@0x0", "--registers", str(tmp_path / "registers.json")]
    found = {int(each["address"], 16): each for each in ask(capsys, words)["tables"]}
    whole = 1 << 12 + 9 * (depth - 1)
    for entry in range(300, 364):
        table = found[EMPTY + 4096 * (entry - 3)]
        assert int(table["first"], 16) == memory.upper + (entry - 256) * whole
        assert (table["empty"], table["references"]) == (True, 1)
    assert all(int(each["first"], 16) < 1 << 47 or int(each["first"], 16) >= memory.upper for each in found.values())
    shown = " ".join(text(capsys, words).split())
    assert "64 empty" in shown
    assert "empty, and so are the 63 for what follows" in shown


def test_what_looks_like_a_table_and_is_none_is_an_orphan(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables.memory[ORPHAN + 4088] = 0
    words = saved(tables, tmp_path, lower(tables))
    assert ask(capsys, [*words, "--orphans"])["orphans"] == []
    assert ask(capsys, words)["orphans"] is None
    for index in range(64):
        tables.memory[ORPHAN + 8 * index] = 0x8010_0000 + 4096 * index | PAGE | 0x400
    words = saved(tables, tmp_path, lower(tables))
    assert ask(capsys, [*words, "--orphans"])["orphans"] == [f"{ORPHAN:#018x}"]
    assert f"nothing that was found leads to them: {ORPHAN:#x}" in " ".join(text(capsys, [*words, "--orphans"]).split())


def test_a_table_that_cannot_be_read_is_said(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables.memory[ROOT + 8 * 3] = 0x7000_0000 | TABLE
    words = saved(tables, tmp_path, lower(tables))
    found = ask(capsys, words)
    assert [each["table_address"] for each in found["unreadable"]] == [f"{0x7000_0000:#018x}"]
    shown = text(capsys, words)
    assert "the table at PA 0x70000000" in shown
    assert "0 empty" not in shown


def test_where_translation_is_off_there_are_none(
    tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = saved(tables, tmp_path, lower(tables) | {"SCTLR_EL1": 0})
    assert text(capsys, words).startswith("No tables: translation is off.")
    assert ask(capsys, words)["tables"] == []
