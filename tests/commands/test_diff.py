"""`gdbtools diff`: what changed between two sources, in words, in JSON, and in the exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.arch.aarch64.truth.machine import S2_ROOT, Memory, guest
from tests.places import ROOT
from tests.tables import Tables

CAPTURES = ROOT / "fixtures/captures"
OSV, DEMO = str(CAPTURES / "osv-1131.core"), str(CAPTURES / "access-flag.core")
EPD1 = 1 << 23
READ_ONLY = 0b10


def block(**fields: int) -> Tables:
    tables = Tables(_next=0x4000_1000)
    tables.map(0x20_0000, 0x8000_0000, 2, **{"AttrIndx": 4, **fields})
    return tables


def pages(writable: range, count: int = 512) -> Tables:
    tables = Tables(_next=0x4000_1000)
    for number in range(count):
        fields = {"AP": 0 if number in writable else READ_ONLY, "AttrIndx": 4}
        tables.map(0x20_0000 + (number << 12), 0x8000_0000 + (number << 12), **fields)
    return tables


def saved(tables: Tables | Memory, folder: Path, name: str, **changes: int) -> tuple[str, str]:
    """Write an image and its registers; give the words that name each."""
    base = 0x4000_0000
    memory = tables.memory if isinstance(tables, Tables) else tables.words
    image = bytearray((max(memory) + 4096 & -4096) - base)
    for at, word in memory.items():
        image[at - base : at - base + 8] = int(word).to_bytes(8, "little")
    registers = tables.registers() if isinstance(tables, Tables) else guest()
    registers["TCR_EL1"] |= EPD1
    (folder / f"{name}.bin").write_bytes(image)
    (folder / f"{name}.json").write_text(json.dumps({key: hex(value) for key, value in (registers | changes).items()}))
    return f"{folder / name}.bin@{base:#x}", str(folder / f"{name}.json")


def words(before: tuple[str, str], after: tuple[str, str]) -> list[str]:
    return [before[0], after[0], "--before-registers", before[1], "--after-registers", after[1]]


def ask(capsys: pytest.CaptureFixture[str], *given: str, status: int) -> Any:
    """Return the result of a call, which has to end in `status`."""
    assert main(["diff", *given, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    [line] = [json.loads(each) for each in out.splitlines()]
    assert (line["schema"], line["command"]) == ("gdbtools/1", "diff")
    return line["result"]


def told(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    main(["diff", *given])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("core", [OSV, DEMO])
def test_a_source_does_not_differ_from_itself(capsys, core: str) -> None:
    result = ask(capsys, core, core, status=0)
    assert result["equal"] is True
    assert (result["changes"], result["uncompared"], result["registers"]["differing"]) == ([], [], [])
    assert "No difference" in told(capsys, core, core)


def test_a_block_that_became_pages_is_one_line_that_says_which_are_writable(capsys, tmp_path: Path) -> None:
    given = words(saved(block(AP=READ_ONLY), tmp_path, "before"), saved(pages(range(7, 10)), tmp_path, "after"))
    result = ask(capsys, *given, status=1)
    [change] = result["changes"]
    assert (change["kind"], change["first"], change["size"]) == ("split", "0x0000000000200000", 2 << 20)
    assert change["aspects"] == ["size", "rights"]
    assert [(each["size"], each["block_size"], each["aspects"]) for each in change["after"]] == [
        (509 << 12, 4096, []),
        (3 << 12, 4096, ["rights"]),
    ]
    assert change["after"][1]["first"] == "0x0000000000207000"
    assert change["after"][1]["attributes"]["rights"] == {"el0": "--x", "el1": "rwx"}
    said = told(capsys, *given)
    assert "1 change in the mappings; no register differs." in said
    assert "1 block of 2MB became 512 pages of 4KB (3 pages from 0x207000: EL1 r-x -> rwx)" in said
    back = told(capsys, given[1], given[0], "--before-registers", given[5], "--after-registers", given[3])
    assert "512 pages of 4KB (3 pages from 0x207000: EL1 rwx -> r-x) became 1 block of 2MB" in back


def test_what_is_new_what_is_gone_and_what_is_missing_from_a_block(capsys, tmp_path: Path) -> None:
    empty = saved(Tables(_next=0x4000_1000, memory={0x4000_0000: 0}), tmp_path, "empty")
    whole = saved(block(AP=READ_ONLY), tmp_path, "whole")
    part = saved(pages(range(0), 511), tmp_path, "part")
    assert "+ 0x0000000000200000 2MB 1 block of 2MB: EL1 r-x EL0 --x" in told(capsys, *words(empty, whole))
    assert "- 0x0000000000200000 2MB 1 block of 2MB: EL1 r-x EL0 --x" in told(capsys, *words(whole, empty))
    assert "became 511 pages of 4KB (4KB from 0x3ff000 not mapped)" in told(capsys, *words(whole, part))


def test_use_is_said_apart_and_can_be_left_out(capsys, tmp_path: Path) -> None:
    given = words(saved(block(AF=0), tmp_path, "before"), saved(block(), tmp_path, "after"))
    assert [each["aspects"] for each in ask(capsys, *given, status=1)["changes"]] == [["af"]]
    said = told(capsys, *given)
    assert "1 change by use alone" in said
    assert said.index("Only the access flag or the dirty state") < said.index("unaccessed -> accessed")
    assert ask(capsys, *given, "--ignore", "af", status=0)["ignored"] == ["af"]
    assert ask(capsys, *given, "--ignore", "dirty", status=1)["equal"] is False


def test_registers_differ_by_their_fields(capsys, tmp_path: Path) -> None:
    before = saved(block(), tmp_path, "before")
    tcr = int(json.loads(Path(before[1]).read_text())["TCR_EL1"], 16)
    after = saved(block(), tmp_path, "after", TCR_EL1=tcr ^ 1 << 36 | 1 << 39, FAR_EL1=0x1234)
    result = ask(capsys, *words(before, after), status=1)
    differing = {each["name"]: each for each in result["registers"]["differing"]}
    assert list(differing) == ["TCR_EL1", "FAR_EL1"]
    assert [
        (each["name"], int(each["before"], 16), int(each["after"], 16)) for each in differing["TCR_EL1"]["fields"]
    ] == [
        ("HA", 0, 1),
        ("AS", 0, 1),
    ]
    said = told(capsys, *words(before, after))
    assert "no change in the mappings".capitalize() in said
    assert ".AS [36] 0 1 ASID size: 8 bits -> 16 bits" in said
    assert "FAR_EL1 0x0 0x1234" in said
    assert ask(capsys, *words(before, after), "--ignore", "registers", status=0)["registers"]["same"] == 0


def test_a_register_that_only_one_source_has_is_said_and_is_no_difference(capsys, tmp_path: Path) -> None:
    before = saved(block(), tmp_path, "before")
    after = saved(block(), tmp_path, "after", CONTEXTIDR_EL1=7)
    result = ask(capsys, *words(before, after), status=0)
    assert (result["registers"]["only_before"], result["registers"]["only_after"]) == ([], ["CONTEXTIDR_EL1"])
    assert "only after: CONTEXTIDR_EL1" in told(capsys, *words(before, after))


def test_another_root_is_said_although_it_maps_the_same(capsys, tmp_path: Path) -> None:
    moved = Tables(root=0x4000_5000, _next=0x4000_6000)
    moved.map(0x20_0000, 0x8000_0000, 2, AttrIndx=4)
    given = words(saved(block(), tmp_path, "before"), saved(moved, tmp_path, "after"))
    result = ask(capsys, *given, "--ignore", "registers", status=0)
    assert result["regimes"][0]["differing"] == ["root"]
    assert "the root is at 0x40000000 before, 0x40005000 after" in told(capsys, *given)


def test_one_without_a_stage_2_is_said_plainly_and_compared_by_what_it_leads_to(capsys, tmp_path: Path) -> None:
    memory = Memory()
    normal = 0b1111 << 2 | 0b11 << 8
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    memory.identity(normal | 0b01 << 6)
    memory.stage2(normal | 0b11 << 6, 0x6543_2000, 0x7654_3000)
    both = saved(memory, tmp_path, "both")
    one = saved(memory, tmp_path, "one", HCR_EL2=0)
    result = ask(capsys, *words(one, both), "--ignore", "registers", "--regime", "el1", status=1)
    assert "stage 2" in result["regimes"][0]["differing"]
    assert [each["aspects"] for each in result["changes"]] == [["output", "shareability"]]
    said = told(capsys, *words(one, both), "--regime", "el1")
    assert "it goes through no stage 2 before, stage 2, VTTBR_EL2 after" in said


def test_an_mmu_that_was_off_is_not_compared_with_one_that_is_on(capsys, tmp_path: Path) -> None:
    given = words(saved(block(), tmp_path, "before", SCTLR_EL1=0), saved(block(), tmp_path, "after"))
    result = ask(capsys, *given, "--ignore", "registers", status=1)
    assert result["changes"] == []
    assert [(each["before"] is None, each["after"] is None) for each in result["regimes"]].count((False, True)) == 1
    said = told(capsys, *given)
    assert said.startswith("Other regimes: there are no mappings to compare")
    assert "MMU off (SCTLR_EL1.M is 0): only before; nothing to compare it with" in said


def test_a_table_that_only_one_source_has_is_a_difference_and_one_that_neither_has_is_none(
    capsys, tmp_path: Path
) -> None:
    whole, holed = block(), block()
    whole.map(0x60_0000, 0x9000_0000)
    at = holed.map(0x60_0000, 0x9000_0000) & -4096
    [entry] = [place for place, word in holed.memory.items() if word & -4096 & (1 << 48) - 1 == at and word & 3 == 3]
    holed.memory[entry] = 0x7000_0000 | 0b11
    one, other = saved(whole, tmp_path, "whole"), saved(holed, tmp_path, "holed")
    result = ask(capsys, *words(one, other), status=1)
    [unknown] = result["uncompared"]
    assert (unknown["first"], unknown["size"], unknown["before"]) == ("0x0000000000600000", 2 << 20, None)
    assert unknown["after"]
    assert "not compared: after, the table at PA 0x70000000" in told(capsys, *words(one, other))
    assert len(ask(capsys, *words(other, other), status=0)["uncompared"]) == 1
    assert "are the same as far as it can be read" in told(capsys, *words(other, other))


def test_one_registers_file_serves_both_sources(capsys, tmp_path: Path) -> None:
    before, after = saved(block(AF=0), tmp_path, "before"), saved(block(), tmp_path, "after")
    result = ask(capsys, before[0], after[0], "--registers", before[1], status=1)
    assert [each["aspects"] for each in result["changes"]] == [["af"]]


def test_the_second_source_may_be_the_one_that_every_command_takes(capsys) -> None:
    assert ask(capsys, OSV, "-s", OSV, status=0)["after"]["source"] == "the core osv-1131.core"


@pytest.mark.parametrize(
    ("status", "given", "says"),
    [
        (2, [], "gdbtools diff -s DUMP"),
        (2, [OSV], "-s DUMP"),
        (2, [OSV, OSV, OSV], "one word too many"),
        (2, [OSV, OSV, "--ignore", "everything"], "not 'everything'"),
        (3, [OSV, "/nonexistent/core"], "/nonexistent/core"),
        (3, [OSV, OSV, "--cpu", "3"], "no CPU 3"),
        (3, [OSV, OSV, "--after-registers", "/nonexistent/json"], "/nonexistent/json"),
    ],
)
def test_bad_input_is_one_line(capsys, status: int, given: list[str], says: str) -> None:
    assert main(["diff", *given]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert says in err


def test_the_text_fits_80_columns(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["diff", OSV, DEMO]) == 1
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


# Stage 2: soft-invalid entries, and tables that are not there


def stage2_of(folder: Path, name: str, *cleared: int, **changes: int) -> tuple[str, str]:
    """Write a stage 2 of a table with a page, with the valid bit taken from the descriptors at `cleared`."""
    memory = Memory()
    memory.words = {
        S2_ROOT + 8: S2_ROOT + 0x1000 | 0x7FF,
        S2_ROOT + 0x1000: S2_ROOT + 0x2000 | 0x7FF,
        S2_ROOT + 0x2000: 0x8000_0000 | 0x7FF,
    }
    for at in cleared:
        memory.words[at] &= ~1
    return saved(memory, folder, name, **changes)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((), (S2_ROOT + 8,), "1 page of 4KB: became soft-invalid at level 1"),
        ((), (S2_ROOT + 0x1000,), "1 page of 4KB: became soft-invalid at level 2"),
        ((S2_ROOT + 0x1000,), (S2_ROOT + 8,), "1 page of 4KB: now soft-invalid at level 1"),
        ((S2_ROOT + 8,), (), "1 page of 4KB: became valid again"),
    ],
)
def test_a_cleared_valid_bit_unmaps_nothing_and_splits_nothing(capsys, tmp_path: Path, before, after, said) -> None:
    given = words(stage2_of(tmp_path, "before", *before), stage2_of(tmp_path, "after", *after))
    given += ["--regime", "stage2", "--ignore", "registers"]
    [change] = ask(capsys, *given, status=1)["changes"]
    assert (change["kind"], change["aspects"]) == ("changed", ["soft-invalid"])
    assert [side[0].get("soft_invalid", False) for side in (change["before"], change["after"])] == [
        bool(before),
        bool(after),
    ]
    assert main(["diff", *given]) == 1
    assert said in capsys.readouterr().out
    assert ask(capsys, *given, "--ignore", "soft-invalid", status=0)["changes"] == []


@pytest.mark.parametrize("lacking", [("before",), ("after",), ("before", "after")])
def test_tables_that_are_not_there_are_not_the_same(capsys, tmp_path: Path, lacking: tuple[str, ...]) -> None:
    sides = [
        stage2_of(tmp_path, side, VTTBR_EL2=0x9000_0000 if side in lacking else S2_ROOT) for side in ("before", "after")
    ]
    given = [*words(*sides), "--regime", "stage2", "--ignore", "registers"]
    assert main(["diff", *given]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gdbtools: nothing could be compared: the table at PA 0x90000000")


def test_registers_that_differ_are_said_though_no_mappings_could_be_compared(capsys, tmp_path: Path) -> None:
    sides = [stage2_of(tmp_path, side, VTTBR_EL2=root) for side, root in (("one", 0x9000_0000), ("two", 0x9100_0000))]
    given = [*words(*sides), "--regime", "stage2"]
    assert [each["name"] for each in ask(capsys, *given, status=1)["registers"]["differing"]] == ["VTTBR_EL2"]
    assert main(["diff", *given]) == 1
    assert capsys.readouterr().out.startswith("No mappings could be compared, for want of tables; 1 register differs.")


def test_softwares_dirty_bit_is_use_and_hides_no_change_of_rights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = saved(block(), tmp_path, "clean")
    written = saved(block(SOFTWARE=1), tmp_path, "written")
    protected = saved(block(SOFTWARE=1, AP=READ_ONLY), tmp_path, "protected")
    stated = ("--dirty-convention", "bit55")
    assert ask(capsys, *words(clean, written), status=0)["changes"] == []
    (change,) = ask(capsys, *words(clean, written), *stated, status=1)["changes"]
    assert change["aspects"] == ["dirty"]
    (change,) = ask(capsys, *words(clean, protected), *stated, status=1)["changes"]
    assert set(change["aspects"]) == {"dirty", "rights"}
    (change,) = ask(capsys, *words(written, protected), *stated, "--ignore", "dirty", status=1)["changes"]
    assert change["aspects"] == ["rights"]


def two_processes(folder: Path) -> tuple[list[str], int, int]:
    """Write one image with the tables of two processes; give the words of the source, and the two roots."""
    first, second = Tables(_next=0x4000_1000), Tables(root=0x4001_0000, _next=0x4001_1000)
    for tables, writable in ((first, 0), (second, READ_ONLY)):
        tables.map(0x20_0000, 0x8000_0000, AttrIndx=4)
        tables.map(0x20_1000, 0x8000_1000, AttrIndx=4, AP=writable)
    first.memory.update(second.memory)
    image, registers = saved(first, folder, "both")
    return ["-s", image, "--registers", registers], int(first.root), int(second.root)


def test_two_processes_of_one_source_are_compared_by_their_roots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, first, second = two_processes(tmp_path)
    roots = ["--before-with", f"TTBR0_EL1={first:#x}", "--after-with", f"TTBR0_EL1={second:#x}"]
    result = ask(capsys, *source, *roots, status=1)
    (change,) = [each for each in result["changes"] if each["kind"] != "registers"]
    assert (change["first"], change["last"]) == ("0x0000000000201000", "0x0000000000201fff")
    assert result["before"]["source"] == f"the raw image both.bin with TTBR0_EL1={first:#x}"
    assert result["after"]["source"] == f"the raw image both.bin with TTBR0_EL1={second:#x}"
    # The one in force needs no saying.
    assert ask(capsys, *source, *roots[2:], status=1)["changes"] == result["changes"]
    assert ask(capsys, *source, *roots[:2], "--ignore", "registers", status=0)["changes"] == []


def test_without_a_source_or_a_register_it_says_what_to_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, *_ = two_processes(tmp_path)
    assert main(["diff", *source]) == 2
    assert "name an older source, or two roots of this one: --before-with TTBR" in capsys.readouterr().err
    assert main(["diff", *source, "--before-registers", "x.json", "--after-with", "TTBR0_EL1=0"]) == 2
    assert "--before-registers is for an older source; name it first" in capsys.readouterr().err
    assert main(["diff", *source, "--after-with", "TTBR9_EL1=0"]) == 2
    assert "is not a register that is decoded here" in capsys.readouterr().err
