"""What a source lacks is named all at once, with what helps there: nobody is sent round in a circle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdbtools.cli import main

SEARCH = "`find-roots --write FILE` makes one of the tables that it finds"


def refused(capsys: pytest.CaptureFixture[str], folder: Path, architecture: str, *words: str, **given: int) -> str:
    (folder / "ram").write_bytes(bytes(4096))
    source = ["-s", f"{folder / 'ram'}@0x0", "--arch", architecture]
    if given:
        (folder / "registers.json").write_text(json.dumps({name: hex(value) for name, value in given.items()}))
        source += ["--registers", str(folder / "registers.json")]
    assert main([*words, *source]) == 3
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


@pytest.mark.parametrize("command", [("walk", "0x0"), ("map",), ("walk", "0x0", "--access", "read")])
def test_all_that_paging_of_x86_needs_is_named_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    said = refused(capsys, tmp_path, "x86_64", *command)
    assert "has no cr0, cr3, cr4, efer; " in said
    assert SEARCH in said
    said = refused(capsys, tmp_path, "x86_64", *command, cr4=0x20, cr0=0x8001_0001)
    assert "has no cr3, efer; " in said
    # An address of more than 32 bits shows long mode.
    said = refused(capsys, tmp_path, "x86_64", *command, cr4=0x20, rip=1 << 40)
    assert "has no cr0, cr3; " in said


@pytest.mark.parametrize(
    ("architecture", "given", "lacks", "levels"),
    [
        ("riscv64", {"satp": 8 << 60}, "priv", "U or S"),
        ("aarch64", {"TCR_EL1": 0x10, "TTBR0_EL1": 0, "TTBR1_EL1": 0, "SCTLR_EL1": 1}, "cpsr", "EL0 or EL1"),
    ],
)
def test_where_nobody_says_who_asks_the_level_is_asked_for_and_no_search_that_would_not_find_it(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    architecture: str,
    given: dict[str, int],
    lacks: str,
    levels: str,
) -> None:
    said = refused(capsys, tmp_path, architecture, "walk", "0x0", "--access", "read", **given)
    assert f"has no {lacks}; say who asks: --privilege {levels}, or give what is missing with --registers FILE" in said
    assert "find-roots" not in said
    said = refused(capsys, tmp_path, architecture, "fault", **given)
    assert "find-roots" not in said
