"""`gdbtools map`: every option, on a real crash and on images whose tables are known to the last bit."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from gdbtools.cli import main
from tests.arch.aarch64.truth.machine import S1_ROOT, S2_ROOT, Memory, guest
from tests.places import ROOT
from tests.tables import Tables

OSV = str(ROOT / "fixtures/captures/osv-1131.core")
KILO, MEGA = 1 << 10, 1 << 20
DEVICE, NORMAL, NON_CACHEABLE = 0, 4, 1


@pytest.fixture
def tables() -> Tables:
    """A little of everything, in the lower half; the upper half is off."""
    t = Tables(_next=0x4000_1000)
    for page in range(4):
        t.map(0x1000 + (page << 12), 0x8000_0000 + (page << 12), AttrIndx=NORMAL, SH=3, AP=0b00, UXN=1)
    t.map(0x10000, 0x9000_0000, AttrIndx=NORMAL, SH=3, AP=0b11, PXN=1)
    t.map(0x11000, 0x9100_0000, AttrIndx=NORMAL, SH=3, AP=0b01, PXN=1, UXN=1, nG=1, AF=0)
    t.map(0x12000, 0x9200_0000, AttrIndx=NON_CACHEABLE, AP=0b00, DBM=1, PXN=1, UXN=1)
    t.map(0x13000, 0x9300_0000, AttrIndx=NORMAL, AP=0b10, DBM=1, PXN=1, UXN=1)
    t.map(0x20_0000, 0x0900_0000 & -(2 * MEGA), 2, AttrIndx=DEVICE, PXN=1, UXN=1)
    for page in range(3):
        t.map(0x40_0000 + (page << 12), 0xA000_0000, AttrIndx=NORMAL, SH=3, AP=0b10, PXN=1, UXN=1)
    return t


def saved(t: Tables | Memory, tmp_path: Path, registers: dict[str, int], base: int = 0x4000_0000) -> list[str]:
    """Write an image and a registers file; give the words that name them."""
    words = t.memory if isinstance(t, Tables) else t.words
    image = bytearray((max(words) + 4096 & -4096) - base)
    for at, word in words.items():
        image[at - base : at - base + 8] = int(word).to_bytes(8, "little")
    (tmp_path / "ram.bin").write_bytes(image)
    (tmp_path / "registers.json").write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
    return ["-s", f"{tmp_path / 'ram.bin'}@{base:#x}", "--registers", str(tmp_path / "registers.json")]


@pytest.fixture
def source(tables: Tables, tmp_path: Path) -> list[str]:
    registers = tables.registers()
    return saved(tables, tmp_path, registers | {"TCR_EL1": registers["TCR_EL1"] | 1 << 23})


def ask(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict:
    """Return the one result of a call, which has to end in `status`."""
    assert main(["map", *words, "--json"]) == status
    out, err = capsys.readouterr()
    assert err == ""
    [line] = [json.loads(each) for each in out.splitlines()]
    assert (line["schema"], line["command"]) == ("gdbtools/1", "map")
    return line["result"]


def refused(capsys: pytest.CaptureFixture[str], status: int, *words: str) -> str:
    """Return the one line on stderr of a call that has to be refused with `status`."""
    assert main(["map", *words]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("gdbtools: ")
    assert "Traceback" not in err
    return err


def firsts(result: dict) -> list[int]:
    return [int(run["first"], 16) for run in result["runs"]]


ALL = [0x1000, 0x10000, 0x11000, 0x12000, 0x13000, 0x200000, 0x400000]


def test_where_a_list_goes_on_the_filters_go_on_too(capsys) -> None:
    """It is the same question of another range: a command without its filters and its source would be another."""
    capture = str(ROOT / "fixtures/captures/access-flag.core")
    main(["map", "-s", capture, "--perm", "w", "--limit", "1"])
    said = capsys.readouterr().out
    assert re.search(r"more +from 0x[0-9a-f]+ on: ask the same of 0x[0-9a-f]+,\+0x[0-9a-f]+\n", said)


def test_everything_is_listed_in_order_and_counted(capsys, source: list[str]) -> None:
    result = ask(capsys, *source)
    assert firsts(result) == ALL
    assert result["mapped"] == sum(run["size"] for run in result["runs"]) == 11 * 4 * KILO + 2 * MEGA
    assert result["unreadable"] == result["broken_contiguous_runs"] == []
    assert "supposing" not in result


def test_how_much_was_looked_at_is_said_whatever_fits(capsys, source: list[str]) -> None:
    """Nothing that fits in nothing that was seen would be no answer."""
    for words in ((), ("--perm", "wx"), ("--type", "device"), ("--size", "1g")):
        assert ask(capsys, *source, *words)["looked_at"] == {"leaves": 11 + 1, "tables": 5}
    of_a_range = ask(capsys, *source, "0x1000,0x3000")
    assert of_a_range["looked_at"] == {"leaves": 2, "tables": 4}
    assert of_a_range["regimes"] == ["EL1&0 stage 1, TTBR0_EL1"], "the other half has none of these addresses"
    assert main(["map", *source, "--size", "1g"]) == 0
    assert "looked at  12 leaves in 5 tables" in capsys.readouterr().out


def test_a_run_is_recorded_whole(capsys, source: list[str], tables: Tables) -> None:
    result = ask(capsys, *source)
    run = result["runs"][0]
    assert run == {
        "first": "0x0000000000001000",
        "last": "0x0000000000004fff",
        "size": 0x4000,
        "output": "0x0000000080000000",
        "block_size": 4096,
        "repeats": False,
        "level": 3,
        "descriptor_address": f"{0x4000_3008:#018x}",
        "fault": None,
        "attributes": {
            "memory": "Normal Write-Back RW-allocate",
            "shareability": "Inner Shareable",
            "rights": {"el0": "---", "el1": "rwx"},
            "accessed": True,
            "dirty": None,
            "global": True,
            "contiguous": False,
            "guarded": False,
            "non_secure": False,
        },
        "space": "current",
    }
    assert tables.memory[int(run["descriptor_address"], 16)] & 0xFFFF_F000 == 0x8000_0000
    assert result["regimes"] == ["EL1&0 stage 1, TTBR0_EL1", "EL1&0 stage 1, TTBR1_EL1"]


def test_what_leads_to_one_page_again_and_again_says_so(capsys, source: list[str]) -> None:
    repeats = {int(run["first"], 16): run["repeats"] for run in ask(capsys, *source)["runs"]}
    assert [first for first, again in repeats.items() if again] == [0x400000]


def test_a_clear_access_flag_is_listed_with_its_fault(capsys, source: list[str]) -> None:
    [run] = ask(capsys, *source, "--unaccessed")["runs"]
    assert int(run["first"], 16) == 0x11000
    assert run["attributes"]["accessed"] is False
    fault = run["fault"]
    assert (fault["kind"], fault["stage"], fault["level"], int(fault["status"], 16)) == ("access flag", 1, 3, 0b001011)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--perm", "wx"], [0x1000]),
        (["--perm", "w"], [0x1000, 0x11000, 0x12000, 0x200000]),
        (["--perm", "WX"], [0x1000]),
        (["--perm", "r--"], [0x10000, 0x13000, 0x400000]),
        (["--perm", "r-x"], [0x10000]),
        (["--perm", "rwx"], [0x1000]),
        (["--perm", "x"], [0x1000, 0x10000]),
        (["--perm", "x", "--el0"], [0x10000]),
        (["--perm", "x", "--el1"], [0x1000]),
        (["--perm=---", "--el0"], [0x1000, 0x12000, 0x13000, 0x200000, 0x400000]),
        (["--el0"], [0x10000, 0x11000]),
        (["--el1"], ALL),
        (["--type", "device"], [0x200000]),
        (["--type", "DEVICE"], [0x200000]),
        (["--type", "normal"], [0x1000, 0x10000, 0x11000, 0x12000, 0x13000, 0x400000]),
        (["--type", "non-cacheable"], [0x12000]),
        (["--dirty"], [0x12000]),
        (["--unaccessed"], [0x11000]),
        (["--size", "2m"], [0x200000]),
        (["--size", "2MB"], [0x200000]),
        (["--size", "2MiB"], [0x200000]),
        (["--size", "4k"], [each for each in ALL if each != 0x200000]),
        (["--size", "1g"], []),
        (["--physical", "0x92000000"], [0x12000]),
        (["--physical", "0x92000000,0x93000001"], [0x12000, 0x13000]),
        (["--physical", "0x80002000,+0x1000"], [0x3000]),
        (["--physical", "0xa0000fff,+1"], [0x400000]),
        (["--physical", "0xa0001000,+0x1000"], []),
        (["0x11000"], [0x11000]),
        (["0x2345"], [0x2000]),
        (["0x3000,0x10001"], [0x3000, 0x10000]),
        (["0x5000,+0xb000"], []),
        (["0x3f0000,+0x8000"], [0x200000]),
        (["0x402000,+1"], [0x402000]),
        (["--perm", "w", "--el0", "--unaccessed"], [0x11000]),
        (["--perm", "w", "--type", "device", "--size", "4k"], []),
        (["--regime", "el1"], ALL),
    ],
)
def test_options_choose_and_join(capsys, source: list[str], words: list[str], expected: list[int]) -> None:
    assert firsts(ask(capsys, *source, *words)) == expected


@pytest.mark.parametrize(
    ("exactly", "expected"), [("---", [0x1000, 0x12000, 0x13000, 0x200000, 0x400000]), ("--x", [])]
)
def test_an_exact_permission_may_begin_with_a_dash(
    capsys, source: list[str], exactly: str, expected: list[int]
) -> None:
    assert firsts(ask(capsys, *source, "--el0", "--perm", exactly)) == expected


def test_a_filter_that_leaves_nothing_is_an_answer_in_words(capsys, source: list[str]) -> None:
    assert main(["map", *source, "--size", "1g"]) == 0
    assert "nothing" in capsys.readouterr().out


def test_mapped_counts_what_is_left_after_the_cut(capsys, source: list[str]) -> None:
    assert ask(capsys, *source, "0x3000,0x5000")["mapped"] == 0x2000


def test_the_table_has_a_row_for_each_run_and_columns_for_each_level(capsys, source, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["map", *source]) == 0
    lines = capsys.readouterr().out.splitlines()
    [head] = [line for line in lines if line.startswith("from")]
    assert head.split() == ["from", "to", "size", "of", "PA", "EL1", "EL0", "memory", "state"]
    rows = {int(line.split()[0], 16): line.split() for line in lines if line.startswith("0x")}
    assert list(rows) == ALL
    assert rows[0x1000][1:7] == ["0x0000000000004fff", "16KB", "4KB", "0x80000000", "rwx", "---"]
    state = {first: " ".join(row[7:]) for first, row in rows.items()}
    assert "all one page" in state[0x400000]
    assert "unaccessed" in state[0x11000]
    assert "nG" in state[0x11000]
    assert "dirty" in state[0x12000]
    assert "clean" in state[0x13000]


def test_a_table_that_is_missing_is_named_and_the_rest_is_listed(capsys, tables: Tables, tmp_path: Path) -> None:
    at = next(at for at, word in tables.memory.items() if at >= 0x4000_2000 and word & 3 == 3)
    hole = 0x4000_2000 + 3 * 8
    tables.memory[hole] = 0x7000_0000 | 0b11
    assert at != hole
    words = saved(tables, tmp_path, tables.registers(TCR_EL1=tables.registers()["TCR_EL1"] | 1 << 23))
    result = ask(capsys, *words)
    [missing] = result["unreadable"]
    assert missing["first"] == "0x0000000000600000"
    assert missing["size"] == 2 * MEGA
    assert missing["table_address"] == "0x0000000070000000"
    assert missing["why"]
    assert firsts(result) == ALL
    assert ask(capsys, *words, "0,0x600000")["unreadable"] == []
    assert main(["map", *words]) == 0
    assert "unreadable" in capsys.readouterr().out


def test_a_broken_contiguous_run_is_a_finding(capsys, tmp_path: Path) -> None:
    t = Tables(_next=0x4000_1000)
    at = [t.map(page << 12, 0x8000_0000 + (page << 12), Contiguous=1) for page in range(32)]
    registers = t.registers(TCR_EL1=t.registers()["TCR_EL1"] | 1 << 23)
    assert ask(capsys, *saved(t, tmp_path, registers))["broken_contiguous_runs"] == []
    t.memory[at[5]] = 0
    result = ask(capsys, *saved(t, tmp_path, registers), status=1)
    assert {(each["first"], each["size"], each["breach"]) for each in result["broken_contiguous_runs"]} == {
        ("0x0000000000000000", 0x10000, "not contiguous")
    }
    assert {int(each["descriptor_address"], 16) for each in result["broken_contiguous_runs"]} == {at[5]}
    assert main(["map", *saved(t, tmp_path, registers)]) == 1
    assert "not contiguous" in capsys.readouterr().out


def test_a_contiguous_run_is_broken_by_one_member_and_said_once(capsys, tmp_path: Path) -> None:
    """The two halves that are left both know it; that is one finding."""
    t = Tables(_next=0x4000_1000)
    at = [t.map(page << 12, 0x8000_0000 + (page << 12), Contiguous=1) for page in range(16)]
    t.memory[at[5]] = 0
    result = ask(capsys, *saved(t, tmp_path, t.registers(TCR_EL1=t.registers()["TCR_EL1"] | 1 << 23)), status=1)
    assert len(result["broken_contiguous_runs"]) == 1


def test_a_run_that_differs_only_in_the_access_flag_is_not_broken(capsys, tmp_path: Path) -> None:
    t = Tables(_next=0x4000_1000)
    for page in range(16):
        t.map(page << 12, 0x8000_0000 + (page << 12), Contiguous=1, AF=page % 2)
    result = ask(capsys, *saved(t, tmp_path, t.registers(TCR_EL1=t.registers()["TCR_EL1"] | 1 << 23)))
    assert result["broken_contiguous_runs"] == []
    assert len(result["runs"]) == 16


@pytest.fixture
def virtual(tmp_path: Path) -> list[str]:
    """Two stages: VA 0x5000 -> IPA 0x65432000 -> PA 0x76543000, and 0x6000 to where stage 2 has nothing."""
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    memory.stage1(0, va=0x6000, output=0x6543_3000)
    memory.identity(0b1111 << 2 | 3 << 8 | 1 << 6)
    memory.stage2(0b1111 << 2 | 3 << 8 | 1 << 6, 0x6543_2000, 0x7654_3000)
    registers = guest()
    registers["TCR_EL1"] |= 1 << 23
    assert min(memory.words) >= S1_ROOT
    return saved(memory, tmp_path, registers)


def test_two_stages_show_the_ipa_and_what_both_grant(capsys, virtual: list[str]) -> None:
    result = ask(capsys, *virtual)
    shown = [(run["first"], run["ipa"], run["output"], run["attributes"]["rights"]["el1"]) for run in result["runs"]]
    assert shown[0] == ("0x0000000000005000", "0x0000000065432000", "0x0000000076543000", "r-x")
    assert shown[1][:3] == ("0x0000000000006000", "0x0000000065433000", None)
    fault = result["runs"][1]["fault"]
    assert (fault["kind"], fault["stage"], fault["level"]) == ("translation", 2, 3)
    assert main(["map", *virtual]) == 0
    out = capsys.readouterr().out
    assert "IPA" in out
    assert "0x65432000" in out


def test_stage_2_by_itself_maps_intermediate_addresses(capsys, virtual: list[str]) -> None:
    result = ask(capsys, *virtual, "--regime", "stage2")
    runs = {run["first"]: run["output"] for run in result["runs"]}
    assert runs["0x0000000065432000"] == "0x0000000076543000"
    assert all("ipa" not in run for run in result["runs"])
    assert result["regimes"] == ["stage 2, VTTBR_EL2"]
    assert S2_ROOT == 0x5000_0000


def test_a_physical_range_is_of_physical_addresses_and_not_of_intermediate_ones(capsys, virtual: list[str]) -> None:
    assert firsts(ask(capsys, *virtual, "--physical", "0x76543000")) == [0x5000]
    assert firsts(ask(capsys, *virtual, "--physical", "0x65432000")) == []


def test_a_real_crash_has_the_page_that_crashed_it_among_what_is_unaccessed(capsys) -> None:
    result = ask(capsys, "-s", OSV, "--unaccessed", "0x100000120000,+0x1000")
    [run] = result["runs"]
    assert (run["first"], run["size"]) == ("0x0000100000120000", 4096)
    assert int(run["descriptor_address"], 16) == 0x40D2A900
    assert run["fault"]["kind"] == "access flag"


def test_a_real_crash_maps_what_walk_says_of_every_run(capsys) -> None:
    result = ask(capsys, "-s", OSV)
    assert len(result["runs"]) > 700
    chosen = [run for run in result["runs"] if run["fault"] is None][::40]
    assert main(["walk", "-s", OSV, *(run["last"] for run in chosen), "--json"]) == 0
    walked = [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines()]
    for run, one in zip(chosen, walked, strict=True):
        assert one["block_size"] == run["block_size"]
        assert int(one["output"], 16) == int(run["output"], 16) + run["size"] - 1
        assert one["attributes"] == run["attributes"]


@pytest.mark.parametrize(
    "words",
    [
        ["--perm", "q"], ["--perm", "rr"], ["--perm", "rwxr"], ["--perm", "r-"], ["--perm", "-rx"], ["--perm", ""],
        ["--perm", "xr-"], ["--el0", "--el1"], ["--size", "4"], ["--size", "k"], ["--size", "3k"], ["--type", "foo"],
        ["--size", "2k"], ["--size", "4p"], ["--size", "-4k"],
        ["--size", "0x1000"], ["0x1000,0x1000"], ["0x2000,0x1000"], ["0x1000,+0"], ["0x1000,+"], ["0x1000,"],
        [",0x1000"], ["0xffffffffffffffff,+2"], ["--physical", "0x2,0x1"], ["--physical", "nosymbol"], ["nosymbol"],
        ["0x1", "0x2"], ["--regime", "el4"], ["--elephant"], ["--with", "TCR_EL1"], ["--with", "TCR_EL1.HA"],
        ["--with", "=1"], ["--with", "TCR_EL1.HA=x"], ["--with", "NOSUCH.HA=1"], ["--with", "TCR_EL1.NOSUCH=1"],
        ["--with", "TCR_EL1.HA=2"], ["--with", "TCR_EL1=0x10000000000000000"], ["--pte", "0x1000"],
        ["--pte", "0x1000=1"], ["--pte", "AP=1"], ["--pte", "0x1000.AP"], ["--pte", "0x1000.NOSUCH=1"],
        ["--pte", "0x1000.AP=4"], ["--pte", "0x1000.OutputAddress=0x123"], ["--pte", "0x1000.AP=-1"],
        ["--pte", "0x8000000000000.AP=1"],
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_status_2(capsys, source: list[str], words: list[str]) -> None:
    refused(capsys, 2, *source, *words)


def test_no_source_is_status_2(capsys) -> None:
    assert "-s" in refused(capsys, 2)


def test_registers_that_cannot_be_had_are_status_3_and_named(capsys, tables: Tables, tmp_path: Path) -> None:
    values = tables.registers()
    del values["TTBR1_EL1"]
    assert "TTBR1_EL1" in refused(capsys, 3, *saved(tables, tmp_path, values))
    assert "VTCR_EL2" in refused(capsys, 3, *saved(tables, tmp_path, tables.registers()), "--regime", "stage2")
    assert "D128" in refused(capsys, 3, *saved(tables, tmp_path, tables.registers(TCR2_EL1=1 << 5)))


def test_an_el2_map_has_one_column_and_its_own_level(capsys, tmp_path: Path) -> None:
    from tests.arch.aarch64.truth.machine import el2

    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x7000_0000)
    words = saved(memory, tmp_path, el2())
    [run] = ask(capsys, *words, "--regime", "el2")["runs"]
    assert run["attributes"]["rights"] == {"el2": "rwx"}
    assert firsts(ask(capsys, *words, "--regime", "el2", "--el1")) == [0x5000], "--el1 is the level above EL0"
    assert firsts(ask(capsys, *words, "--regime", "el2", "--el0")) == []


# Soft-invalid entries, and what could not be seen


def xen(tmp_path: Path, *cleared: int) -> list[str]:
    """Return a stage 2 of a 2MB block and two pages, with the valid bit taken from the descriptors at `cleared`."""
    memory = Memory()
    memory.words = {
        S2_ROOT + 8: S2_ROOT + 0x1000 | 0x7FF,
        S2_ROOT + 0x1000: S2_ROOT + 0x2000 | 0x7FF,
        S2_ROOT + 0x1008: 0x8020_0000 | 0x7FD,
        S2_ROOT + 0x2000: 0x8000_0000 | 0x7FF,
        S2_ROOT + 0x2008: 0x8000_1000 | 0x7FF,
    }
    for at in cleared:
        memory.words[at] &= ~1
    return [*saved(memory, tmp_path, guest()), "--regime", "stage2"]


def test_what_is_soft_invalid_is_listed_and_counted_apart(capsys, tmp_path: Path) -> None:
    words = xen(tmp_path, S2_ROOT + 0x1000)
    result = ask(capsys, *words)
    assert [(run["size"], run.get("soft_invalid", False)) for run in result["runs"]] == [
        (8 * KILO, True),
        (2 * MEGA, False),
    ]
    assert result["mapped"] == 2 * MEGA, "hardware maps no more"
    fault = result["runs"][0]["fault"]
    assert (fault["kind"], fault["stage"], fault["level"]) == ("translation", 2, 2)
    assert main(["map", *words]) == 0
    head, *rest = capsys.readouterr().out.splitlines()
    assert head == "2 runs of 1 leaf, 2MB + 2 soft-invalid, 8KB."
    [row] = [line for line in rest if line.startswith("0x0000000040000000")]
    assert "soft-invalid" in row


def test_where_all_is_soft_invalid_nothing_is_said_to_be_mapped(capsys, tmp_path: Path) -> None:
    words = xen(tmp_path, S2_ROOT + 8)
    assert main(["map", *words]) == 0
    head = capsys.readouterr().out.splitlines()[0]
    assert head == "2 runs of 3 soft-invalid leaves, 2.01MB: hardware uses none of them."
    assert ask(capsys, *words)["mapped"] == 0
    assert len(ask(capsys, *words, "--perm", "wx", "--expect-none", status=1)["runs"]) == 2, "the next access maps them"


@pytest.mark.parametrize("expecting", [[], ["--expect-none"], ["--perm", "wx"]])
def test_a_root_that_cannot_be_read_is_no_empty_address_space(capsys, tmp_path: Path, expecting: list[str]) -> None:
    words = [*saved(Memory({S2_ROOT: 0}), tmp_path, guest(VTTBR_EL2=0x9000_0000)), "--regime", "stage2"]
    assert "the table at PA 0x90000000" in refused(capsys, 3, *words, *expecting)


def test_nothing_found_beside_a_table_that_cannot_be_read_is_no_nothing(capsys, tables: Tables, tmp_path: Path) -> None:
    tables.memory[0x4000_2000 + 3 * 8] = 0x7000_0000 | 0b11
    words = saved(tables, tmp_path, tables.registers(TCR_EL1=tables.registers()["TCR_EL1"] | 1 << 23))
    nothing_fits = ["--size", "1g", "--expect-none"]
    assert "the table at PA 0x70000000" in refused(capsys, 3, *words, *nothing_fits)
    ask(capsys, *words, *nothing_fits, "0,0x600000", status=0)
    ask(capsys, *words, "--size", "2m", "--expect-none", status=1)
    ask(capsys, *words, "--size", "2m", status=0)
    assert main(["map", *words, "--size", "1g"]) == 0
    assert capsys.readouterr().out.startswith("Nothing that fits was found, but not everything could be read")


@pytest.fixture
def osv_like(tmp_path: Path) -> list[str]:
    """Leaves that software marks as written by bit 55: one of two writable ones, and one of two read-only ones."""
    t = Tables(_next=0x4000_1000)
    for page, fields in enumerate(({"SOFTWARE": 1}, {}, {"AP": 0b10, "SOFTWARE": 1}, {"AP": 0b10})):
        t.map(0x1000 + (page << 12), 0x8000_0000 + (page << 14), AttrIndx=NORMAL, SH=3, UXN=1, **fields)
    registers = t.registers()
    return saved(t, tmp_path, registers | {"TCR_EL1": registers["TCR_EL1"] | 1 << 23})


def test_what_the_guests_convention_calls_dirty_is_found_if_the_convention_is_stated(
    osv_like: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(capsys, *osv_like, "--dirty")["runs"] == []
    stated = [*osv_like, "--dirty-convention", "bit55"]
    assert [run["first"] for run in ask(capsys, *stated, "--dirty")["runs"]] == [
        f"{va:#018x}" for va in (0x1000, 0x3000)
    ]
    by_state = {run["first"]: run["attributes"]["dirty"] for run in ask(capsys, *stated)["runs"]}
    assert list(by_state.values()) == [True, False, True, None]
    ask(capsys, *stated, "--dirty", "--expect-none", status=1)
    ask(capsys, *osv_like, "--dirty", "--expect-none")
    ask(capsys, *osv_like, "--dirty-convention", "bit56", "--dirty", "--expect-none")


def test_a_stated_convention_is_said_with_the_answer_and_kept_in_a_capture(
    osv_like: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    core = str(tmp_path / "kept.core")
    assert main(["capture", core, *osv_like, "--dirty-convention", "bit55"]) == 0
    capsys.readouterr()
    assert len(ask(capsys, "-s", core, "--dirty")["runs"]) == 2
    assert main(["map", "-s", core, "--dirty"]) == 0
    assert "dirty state: bit55, as was stated when the capture was made" in " ".join(capsys.readouterr().out.split())
    assert ask(capsys, "-s", core, "--dirty", "--dirty-convention", "none")["runs"] == []


@pytest.fixture
def scattered(tmp_path: Path) -> list[str]:
    """A heap of 60 pages in no order of physical addresses, then a read-only page."""
    t = Tables(_next=0x4000_1000)
    for page in range(60):
        t.map(0x10_0000 + (page << 12), 0x8000_0000 + (page * 7 % 60 << 13), AttrIndx=NORMAL, SH=3, UXN=1)
    t.map(0x13_C000, 0x9000_0000, AttrIndx=NORMAL, SH=3, UXN=1, AP=0b10)
    registers = t.registers()
    return saved(t, tmp_path, registers | {"TCR_EL1": registers["TCR_EL1"] | 1 << 23})


def test_areas_merge_what_agrees_and_count_the_places_it_leads_to(
    scattered: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = ask(capsys, *scattered, "--areas")
    assert len(found["runs"]) == 61
    heap, read_only = found["areas"]
    assert (heap["first"], heap["size"], heap["places"]) == (f"{0x10_0000:#018x}", 60 * 4096, 60)
    assert (read_only["size"], read_only["places"]) == (4096, 1)
    assert "areas" not in ask(capsys, *scattered)
    assert main(["map", *scattered, "--areas"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("2 areas of 61 runs of 61 leaves")
    assert "60 places" in said
    assert "--runs lists every run" in said


def test_a_long_list_that_would_merge_says_how_to_have_it_short(
    scattered: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["map", *scattered]) == 0
    assert "--areas lists these runs in 2 rows" in " ".join(capsys.readouterr().out.split())
    assert main(["map", "0x100000,0x104000", *scattered]) == 0
    assert "--areas" not in capsys.readouterr().out


def test_a_list_longer_than_the_terminal_is_of_areas_and_says_how_to_see_every_run(
    scattered: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*words: str, lines: int = 24) -> str:
        # pytest's own, which is another for each phase of a test.
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("LINES", str(lines))
        assert main(["map", *scattered, *words]) == 0
        return capsys.readouterr().out

    monkeypatch.setenv("NO_COLOR", "1")
    short = said()
    assert short.startswith("2 areas of 61 runs of 61 leaves")
    assert "--runs lists every run" in short
    assert said("0x100000,0x104000").startswith("4 runs"), "it fits"
    whole = said("--runs")
    assert whole.startswith("61 runs of 61 leaves")
    assert sum(line.startswith("0x") for line in whole.splitlines()) == 61
    # The prompt of a shell takes a line too.
    height = len(said(lines=1000).splitlines())
    assert said(lines=height + 1).startswith("61 runs")
    assert said(lines=height).startswith("2 areas")
    assert json.loads(said("--json"))["result"].keys() == ask(capsys, *scattered).keys()
    page = said("--html")
    assert "61 runs" in page
    assert "areas of" not in page


def test_a_list_that_does_not_merge_is_shown_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    t = Tables()
    for page in range(40):
        t.map(0x10_0000 + (page << 13), 0x8000_0000 + (page << 13), AttrIndx=NORMAL, SH=3, UXN=1)
    source = saved(t, tmp_path, t.registers())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["map", *source]) == 0
    assert capsys.readouterr().out.startswith("80 runs of 80 leaves")


def test_on_a_terminal_of_80_columns_the_state_of_an_area_is_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    t = Tables(_next=0x4000_1000)
    t.map(0x20_0000, 0x8_0000_0000, 2, AttrIndx=NORMAL, SH=2, AF=0, nG=1)
    for page in range(12):
        t.map(0x40_0000 + (page << 12), 0x8_9000_0000 + (page << 13), AttrIndx=NORMAL, SH=2, AF=0, nG=1)
    t.map(0x80_0000, 0x9_0000_0000, AttrIndx=NON_CACHEABLE, SH=2)
    registers = t.registers()
    source = saved(t, tmp_path, registers | {"TCR_EL1": registers["TCR_EL1"] | 1 << 23})
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["map", *source, "--areas"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    at = next(number for number, line in enumerate(lines) if line.startswith("0x0000000000200000"))
    assert "2MB 4KB" in lines[at]
    assert lines[at + 1] == "  Outer Shareable, unaccessed, nG"


def test_areas_and_every_run_exclude_each_other(scattered: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", *scattered, "--areas", "--runs"]) == 2
    assert "--areas and --runs exclude each other" in capsys.readouterr().err
