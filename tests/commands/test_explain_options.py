"""`explain`: what else is said acts, or is refused; with `--elf` symbols are addresses, and addresses have names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.places import ROOT
from tests.small_elf import AARCH64, small_elf

LOG = ROOT / "fixtures/logs/linux-6.1-null-write.log"
CORE = LOG.with_suffix(".core")
SLIDE, LINKED = 0x41A5C8E00000, 0xFFFF800008000000
OFFSET = f"Kernel Offset: {SLIDE:#x} from {LINKED:#x}\nPHYS_OFFSET: 0x40000000\n"
PANIC = f"Kernel panic - not syncing: Oops: Fatal exception\nSMP: stopping secondary CPUs\n{OFFSET}"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Return a text with two crashes."""
    text = tmp_path / "console.txt"
    text.write_text(LOG.read_text() + LOG.with_name("linux-6.1-unmapped.log").read_text())
    return text


@pytest.fixture
def vmlinux(tmp_path: Path) -> Path:
    """Return a file with the symbol that the log's crash is in, of the same release."""
    code = bytes(0x200) + b"Linux version 6.1.0-50-cloud-arm64 (who@where)\0"
    file = tmp_path / "vmlinux"
    file.write_bytes(small_elf(AARCH64, LINKED, code, {"_text": LINKED, "__memset": LINKED + 0x100}))
    return file


def answers(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    main([*words, "--json"])
    return [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines()]


def test_a_record_chooses_among_the_crashes_of_a_text(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = answers(["explain", str(two)], capsys)
    for number, whole in enumerate(both, 1):
        assert answers(["explain", str(two), "--record", str(number)], capsys) == [whole]
        assert answers(["fault", "-s", str(two), "--record", str(number)], capsys) == [whole["fault"]]
    assert answers(["fault", "-s", str(two)], capsys) == [both[0]["fault"]]


@pytest.mark.parametrize("asked", [["explain", "{}"], ["fault", "-s", "{}"]])
def test_a_record_that_is_not_there_is_said(asked: list[str], two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*(each.format(two) for each in asked), "--record", "3"]) == 2
    assert f"{two} has no crash 3: it has 2 crashes, from line 2, 48 on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fault", "-s", str(CORE), "--record", "1"], "--record chooses among the crashes of a log"),
        (["walk", "-s", f"{CORE}@0x40000000", "0", "--record", "1"], "--record chooses among the crashes of a log"),
        (["explain", str(LOG), "--arch", "aarch64"], "--arch is not for `explain`"),
        (["explain", str(LOG), "--registers", str(LOG)], "--registers is not for `explain`"),
        (["explain", str(LOG), "--dirty-convention", "dbm"], "--dirty-convention is not for `explain`"),
        (["explain", str(LOG), "--cpu", "0"], "--cpu is not for `explain`"),
        (["explain", str(LOG), "--stop"], "--stop is not for `explain`"),
        (["esr", "0x96000046", "--cpu", "0"], "--cpu is about a source"),
        (["esr", "0x96000046", "--record", "1"], "--record is about a source"),
    ],
    ids=lambda each: " ".join(each[::2]) if isinstance(each, list) else "",
)
def test_an_option_that_would_do_nothing_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_the_messages_of_a_workflow_have_file_and_line(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(two), "--format", "github"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        f"::error file={two},line=2,title=Unable to handle kernel NULL pointer dereference at virtual address "
        "0000000000000010::EL1 write of 0x10: translation fault, level 2, and the tables agree: "
        "the descriptor is not valid."
    )
    assert f"::error file={two},line=48,title=" in second


def test_what_is_no_name_in_a_message_is_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "100%, a:b"
    text.write_text("[    1.0] kernel BUG at mm/slub.c:440!\n")
    assert main(["explain", str(text), "--format", "github"]) == 1
    assert f"file={tmp_path}/100%25%2C a%3Ab,line=1,title=kernel BUG at mm/slub.c%3A440!::" in capsys.readouterr().out


def test_a_slide_and_a_symbol_are_where_the_code_was(
    tmp_path: Path, vmlinux: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "console.txt"
    at = LINKED + SLIDE + 0x124
    text.write_text(LOG.read_text().replace("x8 : 0000000000000010", f"x8 : {at:016x}") + PANIC)
    (found,) = answers(["explain", str(text), "--elf", str(vmlinux)], capsys)
    assert int(found["fault"]["return_address"], 16) == at
    assert found["fault"]["symbols"]["return_address"] == "__memset + 36"
    assert any(each.startswith(f"ELR_EL1={at:#x}: __memset+0x24/0x188") for each in found["crash"]["assumed"])
    main(["explain", str(text), "--elf", str(vmlinux)])
    assert f"{at:#x} <__memset + 36>" in " ".join(capsys.readouterr().out.split())
    (walked,) = answers(["walk", "-s", str(text), "--elf", str(vmlinux), "--regime", "el1", "__memset"], capsys) or [
        None
    ]
    assert walked is None or int(walked["input"], 16) == at - 0x24


def test_without_a_slide_no_address_has_a_name_and_the_line_is_asked_for(
    vmlinux: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = answers(["explain", str(LOG), "--elf", str(vmlinux)], capsys)
    assert found["fault"]["return_address"] is None
    assert found["crash"]["wanted"][0].startswith("the line `Kernel Offset: ...`")
    assert main(["walk", "-s", str(LOG), "--elf", str(vmlinux), "__memset"]) == 3
    assert "does not say how far the kernel was moved" in capsys.readouterr().err


@pytest.mark.parametrize("other", [b"6.1.0-50-cloud-arm64", b"__memset"])
def test_another_kernels_file_names_nothing(other: bytes, vmlinux: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = vmlinux.read_bytes().replace(other, other[:-1] + b"X")
    vmlinux.write_bytes(data if other[:1].isdigit() else data.replace(b"Linux version", b"Minix version"))
    (found,) = answers(["explain", str(LOG), "--elf", str(vmlinux)], capsys)
    assert found["symbols"].startswith(str(vmlinux))
    assert found["fault"]["return_address"] is None
    assert main(["fault", "-s", str(LOG), "--elf", str(vmlinux)]) == 2
    assert "give the file of that kernel" in capsys.readouterr().err


def test_beside_a_source_the_symbols_are_that_ones(vmlinux: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (alone,) = answers(["explain", str(LOG)], capsys)
    assert answers(["explain", str(LOG), "-s", str(CORE), "--elf", str(vmlinux)], capsys) == [alone]
    assert answers(["explain", str(LOG), "--elf", str(vmlinux)], capsys) != [alone]


def test_what_is_assumed_is_said_in_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", str(LOG)])
    assert capsys.readouterr().out.count("assumed") == 1


RESERVED = """\
BUG: unable to handle page fault for address: ffff888100000000
#PF: supervisor read access in kernel mode
#PF: error_code(0x0009) - reserved bit violation
PGD 2a01067 P4D 2a01067 PUD 4000100000067 BAD
Oops: 0009 [#1] SMP
RIP: 0010:foo+0x1/0x2
RSP: 0018:ffffc90000003e40 EFLAGS: 00010246
CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
CR2: ffff888100000000 CR3: 0000000002a00000 CR4: 00000000003706f0
"""


def test_a_reserved_bit_that_stands_apart_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "console.txt"
    text.write_text(RESERVED)
    (found,) = answers(["explain", str(text)], capsys)
    assert found["fault"]["verdict"] == "tables agree"
    assert "an address bit beyond MAXPHYADDR is set" in found["fault"]["sentence"]
    assert not found["crash"]["wanted"]
    text.write_text(RESERVED.replace("4000100000067", "100000067"))
    (found,) = answers(["explain", str(text)], capsys)
    assert found["fault"] is None
    assert found["crash"]["wanted"][0].startswith("a dump: the kernel could not read the table")
