"""What is said to words that are not understood: in our own words, with what may have been meant."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gdbtools
from gdbtools.cli import main
from gdbtools.render.document import Document, Facts, Line, Role, Span
from gdbtools.render.text import render
from gdbtools.repl.command_line import as_typed_here
from gdbtools.spelling import nearest
from tests.places import ROOT
from tests.test_cli import DEMO

CORE = str(ROOT / "fixtures/captures/access-flag.core")


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 2) -> str:
    assert main(list(words)) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return err.removeprefix("gdbtools: ").rstrip("\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("wlak", "0"), "there is no command 'wlak'; did you mean walk? `gdbtools --help` lists them"),
        (("stauts",), "did you mean status?"),
        (("--nosuch",), "there is no command '--nosuch'; `gdbtools --help` lists them"),
        (("walk",), "ADDRESS is missing; see `gdbtools walk --help`"),
        (("pte",), "is missing; see `gdbtools pte --help`"),
        (("walk", "0", "--acces", "read"), "there is no option --acces; did you mean --access?"),
        (
            ("walk", "0", "--access", "raed"),
            "--access is read, write, execute, read-code, shadow-stack-read or shadow-stack-write, not 'raed'; did you "
            "mean read?",
        ),
        (
            ("walk", "0", "--access"),
            "--access needs a value: read, write, execute, read-code, shadow-stack-read or shadow-stack-write; see",
        ),
        (("status", "extra"), "'extra' is one word too many; see"),
        (("regs", "-s", CORE, "TTRB0_EL1"), "not a register that is decoded here; did you mean TTBR0_EL1?"),
        (("regs", "-s", CORE, "nonsense"), "not a register that is decoded here; `regs --all` shows"),
        (("walk", "-s", CORE, "0", "--with", "TRC_EL1=0"), "did you mean TCR_EL1?"),
        (("walk", "-s", CORE, "0", "--with", "TCR_EL1.IPSS=0"), "has no field IPSS; did you mean IPS? it has:"),
        ((CORE,), f"{CORE} is a file; say what to ask of it: gdbtools fault -s {CORE}"),
        (("status", CORE), f"a file to look at is given by -s: -s {CORE}"),
        (("walk", CORE), f"{CORE} is a file, where address belongs; to look at it: -s {CORE}"),
        (("map", CORE), f"{CORE} is a file, where range belongs; to look at it: -s {CORE}"),
        (("run", "--nx", "qemu-system-aarch64", "-M", "virt"), "gdbtools run --nx -- qemu-system-aarch64 -M virt"),
    ],
)
def test_what_is_not_understood_says_what_may_be_meant(capsys, words: tuple[str, ...], expected: str) -> None:
    assert expected in said(capsys, *words)


def test_a_gdb_that_is_not_there_is_named() -> None:
    # In a process of its own: another test of this one may have left an event loop running.
    command = [sys.executable, "-m", "gdbtools.cli", "attach", "--gdb", "/nonexistent", "-c", "status"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (3, "")
    assert "/nonexistent is no program that can be run; name a GDB" in done.stderr


def test_argparse_is_never_heard(capsys) -> None:
    for words in (["walk"], ["walk", "0", "--el", "9"], ["walk", "0", "--nosuch"], ["fixup", "--resume=1"], ["trace"]):
        main(words)
        err = capsys.readouterr().err
        assert not re.search(r"argument|invalid choice|expected one|unrecognized|\w\.;", err), err


def test_an_image_without_registers_is_pointed_to_what_finds_them(capsys, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(0x1000))
    err = said(capsys, "fault", "-s", f"{tmp_path / 'image'}@0x40000000", "--arch", "aarch64", status=3)
    assert "`find-roots --write FILE` makes one" in err


def test_a_register_is_an_address_offline_as_at_the_prompt(capsys) -> None:
    assert main(["walk", "-s", CORE, "$pc", "--json"]) == 0
    by_name = json.loads(capsys.readouterr().out)["result"]
    assert main(["walk", "-s", CORE, by_name["input"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"] == by_name
    assert "has no nosuch" in said(capsys, "walk", "-s", CORE, "$nosuch", status=3)


def test_help_of_what_needs_a_guest_has_no_source(capsys) -> None:
    assert main(["watch", "--help"]) == 0
    assert "--source" not in capsys.readouterr().out
    assert main(["walk", "--help"]) == 0
    assert "--source" in capsys.readouterr().out


def test_the_version_is_said_and_recorded(capsys, tmp_path: Path) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gdbtools {gdbtools.__version__}\n"
    assert f'\nversion = "{gdbtools.__version__}"\n' in (ROOT / "pyproject.toml").read_text()
    assert main(["status", "-s", CORE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == gdbtools.__version__
    assert main(["capture", "-s", CORE, str(tmp_path / "core")]) == 0
    assert f'"written_by": "gdbtools {gdbtools.__version__}"'.encode() in (tmp_path / "core").read_bytes()
    assert main(["report", "-s", CORE, "-o", str(tmp_path / "report.html")]) in (0, 1)
    assert f'content="gdbtools {gdbtools.__version__}"' in (tmp_path / "report.html").read_text()


def test_one_is_not_many(capsys, tmp_path: Path) -> None:
    from tests.commands.test_map import saved
    from tests.tables import Tables

    tables = Tables()
    tables.map(0x1000, 0x8000_0000)
    main(["map", *saved(tables, tmp_path, tables.registers()), "0x1000"])
    assert capsys.readouterr().out.startswith("1 run of 1 leaf, 4KB.")


def test_only_what_is_alike_is_meant() -> None:
    names = ("TTBR0_EL1", "TTBR1_EL1", "TTBR1_EL2", "walk", "watch")
    assert nearest("ttrb0_el1", names) == "TTBR0_EL1"
    assert nearest("TTBR1_ELI", names, "_EL1") == "TTBR1_EL1"
    assert nearest("TTBR1_ELI", names, "_EL2") == "TTBR1_EL2"
    assert nearest("nonsense", names) == ""


def at_the_prompt(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gdbtools.cli", "open", CORE, *(each for word in words for each in ("-c", word))]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL)


def test_at_the_prompt_a_command_is_called_as_it_is_typed_there() -> None:
    done = at_the_prompt("walk --help", "fixup --dry-run", "walk 0 --nosuch")
    assert "usage: walk ADDRESS..." in done.stdout
    assert "there is no option --nosuch; see `walk --help`" in done.stderr
    assert "mmu " not in done.stdout + done.stderr


def test_only_the_name_of_a_command_loses_its_prefix() -> None:
    assert as_typed_here("`mmu tlbi 0x10`, mmu fixup --resume") == "`tlbi 0x10`, fixup --resume"
    assert as_typed_here("set mmu-dirty, the mmu is off, mmu walking") == "set mmu-dirty, the mmu is off, mmu walking"
    document = Document([Line(["next: ", Span("mmu fixup", Role.COMMAND)]), Facts([("undo", "mmu undo")])])
    assert render(document.reworded(as_typed_here)) == "next: fixup\n\nundo  undo\n"


def test_a_cpu_at_el3_has_one_range_once(capsys, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(0x1000))
    registers = {"cpsr": "0x3cd", "TCR_EL3": "0x80803520", "TTBR0_EL3": "0x40000000", "SCTLR_EL3": "0x30c50835"}
    (tmp_path / "registers.json").write_text(json.dumps(registers))
    source = ["-s", f"{tmp_path / 'image'}@0x40000000", "--registers", str(tmp_path / "registers.json")]
    assert main(["status", *source]) == 0
    assert capsys.readouterr().out.count("TTBR0_EL3") == 1


def test_what_an_unprivileged_load_cannot_do_is_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["walk", "0", "--unprivileged", "--access", "execute", "-s", DEMO]) == 2
    assert "--unprivileged asks for a load or a store" in capsys.readouterr().err


def test_that_a_dump_is_no_guest_is_said_before_what_is_not_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fixup", "--resume", "-s", DEMO]) == 3
    assert f"needs a live guest, and a dump is not one; `gdbtools fault -s {DEMO}` explains" in capsys.readouterr().err
