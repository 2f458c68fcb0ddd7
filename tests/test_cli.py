"""The contract that scripts rely on: JSON, exit statuses, one-line errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gdbtools.cli import main
from gdbtools.commands import COMMANDS
from tests.places import ROOT

CAPTURES = ROOT / "fixtures/captures"
OSV = str(CAPTURES / "osv-1131.core")
DEMO = str(CAPTURES / "access-flag.core")


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict], str]:
    """Return the exit status, the JSON lines and stderr of one call."""
    status = main([*words, "--json"])
    out, err = capsys.readouterr()
    return status, [json.loads(line) for line in out.splitlines()], err


def test_walk_gives_one_result_for_each_address_in_order(capsys) -> None:
    status, lines, _ = ask(capsys, "walk", "-s", OSV, "0xfc0000000", "0x100000120e40", "0xffff8000408ce008")
    assert status == 1, "one of them is a fault"
    assert [line["result"]["input"] for line in lines] == [
        "0x0000000fc0000000",
        "0x0000100000120e40",
        "0xffff8000408ce008",
    ]
    assert {(line["schema"], line["command"]) for line in lines} == {("gdbtools/1", "walk")}


def test_a_mapped_walk_is_recorded_as_the_contract_has_it(capsys) -> None:
    status, [line], _ = ask(capsys, "walk", "-s", OSV, "0xfc0001234")
    result = line["result"]
    assert status == 0
    assert result["outcome"] == "mapped"
    assert (result["output"], result["block_size"]) == ("0x0000000040001234", 2 << 20)
    assert [(step["level"], step["kind"]) for step in result["steps"]] == [(0, "table"), (1, "table"), (2, "block")]
    assert result["steps"][2]["index"] == 0
    assert int(result["steps"][2]["descriptor_address"], 16) == 0x408E7000
    assert result["attributes"]["rights"]["el1"] == "rwx"
    assert "fault" not in result


def test_a_fault_is_recorded_with_kind_stage_level_status_and_the_deciding_bit(capsys) -> None:
    _, [line], _ = ask(capsys, "walk", "-s", OSV, "0x100000120e40")
    fault = line["result"]["fault"]
    assert (fault["kind"], fault["stage"], fault["level"], int(fault["status"], 16)) == ("access flag", 1, 3, 0b001011)
    assert fault["deciding"]["field"] == "AF"
    assert int(fault["deciding"]["descriptor_address"], 16) == 0x40D2A900
    assert "output" not in line["result"]


def test_access_and_el_ask_whether_it_may_happen(capsys) -> None:
    may = ["walk", "-s", OSV, "0xfc0001234", "--access"]
    assert ask(capsys, *may, "write")[0] == 0
    status, [line], _ = ask(capsys, *may, "write", "--el", "0")
    assert status == 1
    assert line["result"]["fault"]["kind"] == "permission"
    assert line["result"]["output"] == "0x0000000040001234", "it translates all the same"


def test_fault_joins_syndrome_walk_and_prediction(capsys) -> None:
    status, [line], _ = ask(capsys, "fault", "-s", OSV)
    result = line["result"]
    assert status == 1
    assert result["verdict"] == "tables agree"
    assert result["access"] == {"kind": "execute", "el": 1, "unprivileged": False}
    assert result["syndrome"]["fault"]["kind"] == result["predicted"]["kind"] == "access flag"
    assert result["walk"]["steps"][3]["index"] == 288


def test_esr_needs_no_source(capsys) -> None:
    status, [line], _ = ask(capsys, "esr", "0x9600014b")
    assert status == 0
    assert line["result"]["access"] == "maintenance"
    fields = {field["name"]: field for field in line["result"]["fields"]}
    assert (fields["WnR"]["bits"], fields["WnR"]["raw"], fields["WnR"]["applies"]) == ("[6]", f"{1:#018x}", True)
    assert not fields["FnV"]["applies"]
    assert "SAS" not in fields, "there is no such field without ISV"


def test_regs_names_registers_in_any_case_and_without_their_level(capsys) -> None:
    _, [line], _ = ask(capsys, "regs", "-s", OSV, "tcr")
    assert line["result"]["name"] == "TCR_EL1"
    assert int(line["result"]["fields"]["T0SZ"], 16) == 16


def test_status_says_where_bytes_come_from(capsys) -> None:
    _, [line], _ = ask(capsys, "status", "-s", OSV)
    assert line["result"]["memory"] == "the core osv-1131.core"
    assert [regime["levels"] for regime in line["result"]["regimes"]] == [[0, 1, 2, 3]] * 2


def test_a_symbol_of_an_elf_file_is_an_address(capsys) -> None:
    elf = str(CAPTURES.parent / "guests/access_flag/access_flag.elf")
    _, [line], _ = ask(capsys, "walk", "-s", DEMO, "--elf", elf, "vectors+0x200")
    assert line["result"]["input"] == "0x0000000040200200"


def test_fixup_offline_is_a_plan_and_writes_nothing(capsys) -> None:
    before = Path(DEMO).read_bytes()
    _, [line], _ = ask(capsys, "fixup", "-s", DEMO, "--dry-run")
    result = line["result"]
    assert int(result["before"], 16) ^ int(result["after"], 16) == 1 << 10
    assert result["applied"] is False
    assert main(["fixup", "-s", DEMO]) == 3
    assert "live guest" in capsys.readouterr().err
    assert Path(DEMO).read_bytes() == before


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (2, []),
        (2, ["nosuch"]),
        (2, ["walk", "-s", OSV]),
        (2, ["walk", "-s", OSV, "0x1", "--access", "jump"]),
        (2, ["walk", "-s", OSV, "0x10000000000000000"]),
        (2, ["walk", "-s", OSV, "-5"]),
        (2, ["walk", "-s", OSV, "nosymbol"]),
        (2, ["walk", "-s", OSV, "0xzz"]),
        (2, ["walk", "-s", OSV, "0x1", "--elephant"]),
        (2, ["walk", "0x1"]),
        (2, ["regs", "-s", OSV, "TCR_EL9"]),
        (2, ["esr", "0x1", "0x2"]),
        (2, ["fault", "-s", OSV, "extra"]),
        (2, ["walk", "-s", OSV, "--cpu", "one", "0x1"]),
        (3, ["walk", "-s", OSV, "--cpu", "7", "0x1"]),
        (3, ["fault", "-s", "/nonexistent/dump"]),
        (3, ["fault", "-s", "/nonexistent/dump@0x40000000"]),
        (3, ["walk", "-s", OSV, "--elf", "/nonexistent/elf", "main"]),
        (3, ["walk", "-s", OSV, "--registers", "/nonexistent/json", "0x1"]),
        (3, ["service", "-s", OSV]),
        (3, ["catch", "any", "-s", OSV]),
        (2, ["catch", "sneezes"]),
        (3, ["capture", "/nonexistent/folder/file", "-s", OSV]),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(capsys, status: int, words: list[str]) -> None:
    assert main(words) == status
    out, err = capsys.readouterr()
    if words:
        assert len(err.splitlines()) == 1
        assert err.startswith("gdbtools: ")
        assert "Traceback" not in out + err


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "7", "{", '{"a": true}', '{"TCR_EL1": []}', '{"TCR_EL1": "many"}', '{"TCR_EL1": -1}',
        '{"TCR_EL1": 1e99}', '{"TCR_EL1": "0x10000000000000000"}', "[" * 100000,
    ],
)  # fmt: skip
def test_a_registers_file_that_is_none_is_one_line(capsys, tmp_path: Path, text: str) -> None:
    file = tmp_path / "regs.json"
    file.write_text(text)
    assert main(["walk", "-s", OSV, "--registers", str(file), "0x1"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_dump_without_the_table_says_which_physical_address_is_missing(capsys, tmp_path: Path) -> None:
    file = tmp_path / "regs.json"
    file.write_text('{"TTBR0_EL1": "0x51000000"}')
    assert main(["walk", "-s", OSV, "--registers", str(file), "0x1000"]) == 3
    assert "0x51000000" in capsys.readouterr().err


def test_a_raw_image_needs_only_the_registers_that_translate(capsys, tmp_path: Path) -> None:
    image = tmp_path / "ram.bin"
    image.write_bytes((0x40000401).to_bytes(8, "little") + bytes(4088))
    file = tmp_path / "regs.json"
    file.write_text('{"TTBR0_EL1": "0x80000000", "TCR_EL1": "0x500000019"}')
    status, [line], _ = ask(capsys, "walk", "-s", f"{image}@0x80000000", "--registers", str(file), "0x123456")
    assert status == 0
    assert line["result"]["output"] == "0x0000000040123456"
    assert any(text.startswith("SCTLR_EL1") for text in line["result"]["assumed"])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_each_command_and_does_not_exit(capsys, name: str) -> None:
    assert main([name, "--help"]) == 0
    assert COMMANDS[name].description.split()[0] in capsys.readouterr().out


def test_a_capture_of_a_dump_says_what_the_dump_said(capsys, tmp_path: Path) -> None:
    again = str(tmp_path / "again.core")
    assert main(["capture", again, "-s", OSV]) == 0
    capsys.readouterr()
    first = (main(["fault", "-s", OSV]), capsys.readouterr().out)
    assert (main(["fault", "-s", again]), capsys.readouterr().out) == first


@pytest.mark.parametrize(("name", "says"), [("demo", "QEMU"), ("gdbinit", "source $(gdbtools gdbinit)")])
def test_what_is_no_command_of_the_tables_explains_itself_too(capsys, name: str, says: str) -> None:
    assert main([name, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert says in out
    assert out.startswith(f"usage: gdbtools {name}")
    assert main([name, "x"]) == 2
    assert f"see `gdbtools {name} --help`" in capsys.readouterr().err


def test_a_file_where_a_register_belongs_is_a_file(capsys) -> None:
    assert main(["regs", "-s", OSV, OSV]) == 2
    assert f"{OSV} is a file, where name belongs; to look at it: -s {OSV}" in capsys.readouterr().err
    assert main(["regs", "-s", OSV, "nosuch.core"]) == 2
    assert "nosuch.core is not a register" in capsys.readouterr().err


def test_code_that_a_capture_lacks_is_not_said_to_be_the_guests_lack(capsys) -> None:
    assert main(["fixup", "-s", DEMO, "--dry-run", "--resume"]) == 4
    err = capsys.readouterr().err
    assert "which is not all of it; a capture has it by --with-code" in err
    assert "the guest has no" not in err


@pytest.mark.parametrize(
    "words",
    [["map", "-s", OSV], ["map", "-s", OSV, "--json"], ["map", "-s", OSV, "--html"], ["open", OSV, "-c", "map"]],
)
def test_a_reader_that_has_gone_is_no_error(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = [sys.executable, "-m", "gdbtools.cli", *words]
    done = subprocess.run(run, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("where", [">&-", "> /dev/full"])
@pytest.mark.parametrize("words", ["--help", "walk --help", "service --help", "open --help", "run -h", "mcp --help"])
def test_help_that_cannot_be_written_is_one_line(words: str, where: str) -> None:
    line = f"{sys.executable} -m gdbtools.cli {words} {where}"
    done = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("gdbtools: the answer could not be written: ")
    assert len(done.stderr.splitlines()) == 1
