"""`pte` and `clear-af` on a file: what would become of an entry, and what is to be done about it there."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from gdbtools.cli import main
from tests.places import ROOT

P, RW, US = 1, 2, 4
SMEP = 1 << 20
TABLES = {0x1000: 0x2000 | P | RW | US, 0x2000: 0x3000 | P | RW | US, 0x3000: 0x4000 | P | RW | US}
CORE = str(ROOT / "fixtures/captures/linux-6.1.core")
Ask = Callable[..., str]


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Ask about address 0, which four levels of x86-64's tables translate by this leaf."""

    def asked(command: str, leaf: int, cr4: int = 0x20) -> str:
        memory = bytearray(0x5000)
        for at, entry in {**TABLES, 0x4000: leaf}.items():
            struct.pack_into("<Q", memory, at, entry)
        (tmp_path / "ram").write_bytes(memory)
        registers = {"cr0": 0x8001_0001, "cr3": 0x1000, "cr4": cr4, "efer": 0xD00, "cs": 0x10}
        (tmp_path / "registers.json").write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
        source = ["-s", f"{tmp_path / 'ram'}@0x0", "--registers", str(tmp_path / "registers.json")]
        main([*command.split(), *source, "--arch", "x86_64"])
        out, err = capsys.readouterr()
        return " ".join((out + err).split())

    return asked


def test_a_supervisors_page_that_becomes_the_users_is_warned_of(ask: Ask) -> None:
    said = ask("pte 0 US=1 --dry-run", 0x4000 | P, 0x20 | SMEP)
    assert "cr4.SMEP=1" in said
    assert "what only the privileged might access becomes the user's" in said
    assert "no maintenance is needed" not in said
    for leaf, change in ((0x4000 | P | US, "RW=1"), (0x4000 | P, "RW=1"), (0x4000 | P | US, "US=0"), (US, "P=1")):
        assert "becomes the user's" not in ask(f"pte 0 {change} --dry-run", leaf)


def test_an_entry_that_hardware_ignores_says_nothing_else(ask: Ask) -> None:
    said = ask("pte 0 P=0 --dry-run", 0x4000 | P | RW)
    assert "before 0x0000000000004003 -> 0x4000 RW=1" in said
    assert "after 0x0000000000004002 the entry is not present TLB" in said
    said = ask("pte 0 P=1 --dry-run", 0x4000 | RW)
    assert "before 0x0000000000004002 the entry is not present after 0x0000000000004003 -> 0x4000 RW=1" in said


def test_on_a_file_nothing_is_advised_that_needs_a_guest(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("pte 0 P=0 --dry-run", "clear-af 0,+0x1000 --dry-run"):
        said = ask(command, 0x4000 | P | RW | 0x20)
        assert "TLB a running guest's may go on with the old" in said
        assert "tlbi" not in said
    for words in (["fixup"], ["fixup", "--resume"]):
        assert main([*words, "-s", CORE]) == 3
        assert f"`gdbtools fault -s {CORE}` explains its exception" in capsys.readouterr().err


def test_a_memory_type_that_is_none_is_answered_with_the_architectures_own(ask: Ask) -> None:
    said = ask("map --type normal", 0x4000 | P)
    assert "no memory type has 'normal' in its name; write part of one that does, like uc or wb" in said


@pytest.mark.parametrize("name", ["cr3", "CR3", "Cr3"])
def test_a_register_is_named_in_any_case(ask: Ask, name: str) -> None:
    assert ask(f"walk ${name}", 0x4000 | P).startswith("0x1000: ")
