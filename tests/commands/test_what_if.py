"""`--with` and `--pte`: the same question asked of what is not there, of `walk`, `map` and `fault`, writing nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdbtools.cli import main
from tests.arch.aarch64.truth.machine import S1_ROOT, Memory, guest
from tests.commands.test_map import saved
from tests.places import ROOT
from tests.tables import Tables

CAPTURES = ROOT / "fixtures/captures"
NESTED = str(CAPTURES / "nested.core")
OSV = str(CAPTURES / "osv-1131.core")
CRASH = "0x100000120e40"
"""OSv #1131: the page that was executed with AF=0; its descriptor is at PA 0x40d2a900."""


def ask(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> list[dict]:
    assert main([*words, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return [json.loads(line)["result"] for line in out.splitlines()]


def one_line(capsys: pytest.CaptureFixture[str], status: int, *words: str) -> str:
    assert main(list(words)) == status
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("gdbtools: ")
    return err


@pytest.fixture
def tables() -> Tables:
    t = Tables(_next=0x4000_1000)
    t.map(0x1000, 0x8000_0000, AttrIndx=4, SH=3, AP=0b10, UXN=1, PXN=1)
    t.map(0x2000, 0x8000_1000, tables={}, AttrIndx=4, SH=3, AP=0b10, UXN=1, PXN=1)
    return t


@pytest.fixture
def source(tables: Tables, tmp_path: Path) -> list[str]:
    return saved(tables, tmp_path, tables.registers(TCR_EL1=tables.registers()["TCR_EL1"] | 1 << 23))


def test_the_file_is_not_touched(capsys, source: list[str], tmp_path: Path) -> None:
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    core = Path(OSV).read_bytes()
    for command in (["walk", *source, "0x1000"], ["map", *source], ["fault", *source]):
        main([*command, "--pte", "0x1000.AF=0", "--pte", "0x2000.AP=1", "--with", "TCR_EL1.HA=1"])
    main(["fault", "-s", OSV, "--pte", f"{CRASH}.AF=1"])
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before
    assert Path(OSV).read_bytes() == core


def test_a_supposed_descriptor_is_walked_as_if_it_were_there(capsys, source: list[str]) -> None:
    [plain] = ask(capsys, "walk", *source, "0x1000", "--access", "write", "--el", "1", status=1)
    assert plain["fault"]["deciding"]["field"] == "AP"
    [supposed] = ask(capsys, "walk", *source, "0x1000", "--access", "write", "--el", "1", "--pte", "0x1000.AP=0")
    assert supposed["outcome"] == "mapped"
    assert "supposing" not in plain


def test_the_answer_says_what_was_supposed_where_and_what_is_there(capsys, source: list[str]) -> None:
    [result] = ask(capsys, "walk", *source, "0x1000", "--pte", "0x1000.AF=0", "--with", "TCR_EL1.T0SZ=16", status=1)
    assert [(each["before"], each["after"]) for each in result["supposing"]] == [
        ("0x0000000000000010", "0x0000000000000010"),
        ("0x0000000000000001", "0x0000000000000000"),
    ]
    assert result["supposing"][0]["what"] == "TCR_EL1.T0SZ"
    what = result["supposing"][1]["what"]
    assert "AF" in what
    assert "level 3" in what
    assert result["steps"][-1]["descriptor_address"].lstrip("0x") in what.replace("0x", "")
    assert result["fault"]["kind"] == "access flag"


@pytest.mark.parametrize("command", [["walk", "0x1000"], ["map"], ["fault"]])
def test_text_says_that_it_is_supposed(capsys, source: list[str], command: list[str]) -> None:
    main([*command, *source, "--pte", "0x1000.AF=0"])
    out = capsys.readouterr().out
    [line] = [each for each in out.splitlines() if each.startswith("supposing")]
    assert "AF of the level 3 descriptor" in line
    main([*command, *source])
    assert "supposing" not in capsys.readouterr().out


def test_every_address_that_is_asked_about_meets_the_same_supposition(capsys, source: list[str]) -> None:
    first, second = ask(capsys, "walk", *source, "0x1000", "0x2000", "--pte", "0x2000.AF=0", status=1)
    assert first["outcome"] == "mapped"
    assert second["fault"]["kind"] == "access flag"
    assert first["supposing"] == second["supposing"]


def test_suppositions_of_one_descriptor_add_up(capsys, source: list[str]) -> None:
    words = ["--pte", "0x1000.AP=0", "--pte", "0x1000.PXN=0", "--pte", "0x1000.OutputAddress=0x90000000"]
    [result] = ask(capsys, "walk", *source, "0x1234", *words)
    assert int(result["output"], 16) == 0x9000_0234
    assert result["attributes"]["rights"]["el1"] == "rwx"
    assert len(result["supposing"]) == 3
    # The last of two wins, and says that the first was before it.
    [result] = ask(capsys, "walk", *source, "0x1000", "--pte", "0x1000.AP=1", "--pte", "0x1000.AP=3")
    assert [int(each["before"], 16) for each in result["supposing"]] == [2, 1]
    assert result["attributes"]["rights"]["el0"] == "r--"


def test_a_descriptor_may_be_made_invalid_or_a_table_be_changed(capsys, source: list[str]) -> None:
    [result] = ask(capsys, "walk", *source, "0x1000", "--pte", "0x1000.TYPE=0", status=1)
    assert (result["fault"]["kind"], result["fault"]["level"]) == ("translation", 3)
    # 0x40000000 has no leaf: the level 1 descriptor is the last there is.
    [result] = ask(capsys, "walk", *source, "0x40000000", "--pte", "0x40000000.TYPE=1", status=1)
    assert result["steps"][-1]["level"] == 1


def test_names_are_read_in_any_case(capsys, source: list[str]) -> None:
    [result] = ask(capsys, "walk", *source, "0x1000", "--with", "tcr_el1.ha=1", "--pte", "0x1000.ap=3")
    assert result["supposing"][0]["what"] == "TCR_EL1.HA"
    assert result["attributes"]["rights"]["el0"] == "r--"


def test_a_supposed_register_field_decides(capsys, source: list[str], tables: Tables) -> None:
    [result] = ask(capsys, "walk", *source, "0x1000", "--with", "TCR_EL1.EPD0=1", status=1)
    assert (result["fault"]["deciding"]["holder"], result["fault"]["deciding"]["field"]) == ("TCR_EL1", "EPD0")
    [result] = ask(capsys, "walk", *source, "0x1000", "--with", "SCTLR_EL1.M=0")
    assert int(result["output"], 16) == 0x1000


def test_a_whole_register_may_be_supposed_even_one_that_the_source_lacks(capsys, source: list[str]) -> None:
    [result] = ask(capsys, "walk", *source, "0x1000", "--with", "TTBR0_EL1=0x70000000", "--with",
                   "TTBR0_EL1=0x40000000")  # fmt: skip
    assert result["outcome"] == "mapped"
    assert result["supposing"][1]["before"] == "0x0000000070000000"
    [result] = ask(capsys, "walk", *source, "0x1000", "--with", "HCR_EL2=0")
    assert (result["supposing"][0]["what"], result["supposing"][0]["before"]) == ("HCR_EL2", None)


def test_a_field_of_a_register_that_the_source_lacks_is_status_3(capsys, source: list[str]) -> None:
    said = one_line(capsys, 3, "walk", *source, "0x1000", "--with", "VTCR_EL2.T0SZ=24")
    assert "the source has no VTCR_EL2 of which a field could be otherwise; give all: --with VTCR_EL2=0x..." in said
    # A CPU without EL2 behaves as if HCR_EL2 were 0: supposed otherwise, the rest of a second stage is missing.
    assert "VTCR_EL2" in one_line(capsys, 3, "walk", *source, "0x1000", "--with", "HCR_EL2.VM=1")


def test_a_table_that_the_supposed_root_needs_and_nobody_has_is_status_3(capsys, source: list[str]) -> None:
    assert "0x70000000" in one_line(capsys, 3, "walk", *source, "0x1000", "--with", "TTBR0_EL1=0x70000000")


def test_map_shows_the_whole_space_as_it_would_be(capsys, source: list[str]) -> None:
    [plain] = ask(capsys, "map", *source)
    assert [(run["first"][-5:], run["size"]) for run in plain["runs"]] == [("01000", 0x2000)]
    [supposed] = ask(capsys, "map", *source, "--pte", "0x2000.AP=1")
    assert [run["attributes"]["rights"]["el0"] for run in supposed["runs"]] == ["---", "rw-"]
    assert supposed["supposing"][0]["before"] == "0x0000000000000002"
    [off] = ask(capsys, "map", *source, "--with", "TCR_EL1.EPD0=1")
    assert off["runs"] == []


def test_wxn_on_paper_finds_what_it_would_take_away(capsys, source: list[str]) -> None:
    words = ["map", *source, "--pte", "0x1000.AP=0", "--pte", "0x1000.PXN=0", "--perm", "wx"]
    assert len(ask(capsys, *words)[0]["runs"]) == 1
    assert ask(capsys, *words, "--with", "SCTLR_EL1.WXN=1")[0]["runs"] == []


def test_fault_says_that_osvs_crash_would_not_have_been(capsys) -> None:
    [plain] = ask(capsys, "fault", "-s", OSV, status=1)
    assert plain["verdict"] == "tables agree"
    [repaired] = ask(capsys, "fault", "-s", OSV, "--pte", f"{CRASH}.AF=1", status=1)
    assert (repaired["verdict"], repaired["predicted"]) == ("tables permit", None)
    assert int(repaired["supposing"][0]["before"], 16) == 0
    [other] = ask(capsys, "fault", "-s", OSV, "--pte", f"{CRASH}.TYPE=0", status=1)
    assert (other["verdict"], other["predicted"]["kind"]) == ("tables differ", "translation")


def test_fault_with_hardware_that_sets_the_flag_is_left_to_it(capsys) -> None:
    words = ["--with", "TCR_EL1.HA=1", "--with", "ID_AA64MMFR1_EL1.HAFDBS=1"]
    [result] = ask(capsys, "fault", "-s", OSV, *words, status=1)
    assert result["verdict"] == "left to hardware"
    assert [each["what"] for each in result["supposing"]] == ["TCR_EL1.HA", "ID_AA64MMFR1_EL1.HAFDBS"]
    # TCR_EL1.HA alone means nothing to a CPU without FEAT_HAFDBS.
    [result] = ask(capsys, "fault", "-s", OSV, *words[:2], status=1)
    assert result["verdict"] == "tables agree"


def test_through_two_stages_the_descriptor_is_changed_where_stage_2_keeps_it(capsys, tmp_path: Path) -> None:
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    normal = 0b1111 << 2 | 3 << 8 | 1 << 6
    moved = 0x4080_0000
    for table in list(memory.tables[S1_ROOT]):
        memory.stage2(normal, table, table + moved - S1_ROOT)
        for at in [each for each in memory.words if table <= each < table + 0x1000]:
            memory.words[at + moved - S1_ROOT] = memory.words.pop(at)
    memory.stage2(normal, 0x6543_2000, 0x7654_3000)
    source = saved(memory, tmp_path, guest())
    [result] = ask(capsys, "walk", *source, "0x5000", "--regime", "el1", "--pte", "0x5000.AF=0", status=1)
    assert (result["fault"]["kind"], result["fault"]["stage"]) == ("access flag", 1)
    # What stage 2 says of the address is another regime's descriptor.
    [result] = ask(capsys, "walk", *source, "0x65432000", "--regime", "stage2", "--pte", "0x65432000.AF=0", status=1)
    assert (result["fault"]["kind"], result["fault"]["stage"]) == ("access flag", 2)


@pytest.mark.parametrize("command", [["walk", "0x1000"], ["map"], ["fault"]])
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--with", "TCR_EL9.HA=1"], "TCR_EL9"),
        (["--with", "TCR_EL1.NOSUCH=1"], "EPD0"),
        (["--with", "TCR_EL1.T0SZ=64"], "T0SZ"),
        (["--with", "TCR_EL1.T0SZ=-1"], "-1"),
        (["--with", "TCR_EL1.T0SZ"], "write REGISTER.FIELD=VALUE or REGISTER=VALUE"),
        (["--with", "TTBR0_EL1.BADDR=0x40000001"], "BADDR"),
        (["--pte", "0x1000.NOSUCH=1"], "AF"),
        (["--pte", "0x1000.AP=4"], "AP"),
        (["--pte", "nosymbol.AP=1"], "nosymbol"),
        (["--pte", "0x1000.AP=many"], "many"),
        (["--pte", "0x1000"], "0x1000"),
        (["--pte", "0x1000000000000.AP=0"], "0x1000000000000"),
    ],
)
def test_a_supposition_that_makes_no_sense_is_one_line_that_helps(
    capsys, source: list[str], command: list[str], words: list[str], named: str
) -> None:
    assert named in one_line(capsys, 2, *command, *source, *words)


def test_words_without_a_value_are_a_usage_error(capsys, source: list[str]) -> None:
    for option in ("--with", "--pte"):
        assert f"{option} needs a value" in one_line(capsys, 2, "walk", *source, "0x1000", option)


def test_a_root_and_the_register_that_has_it_are_not_both_supposed(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["walk", "0x50008", "-s", NESTED, "--root", "0x10000"]
    said = one_line(capsys, 2, *words, "--with", "cr3=0x1000000")
    assert "--root and --with both say what cr3 would be; leave one out" in said
    [result] = ask(capsys, *words, "--with", "cr3.PCD=1")
    assert [each["what"] for each in result["supposing"]] == ["cr3", "cr3.PCD"]
