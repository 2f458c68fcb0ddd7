"""What is said of an x86-64 that is only partly known, and where the prompt says that it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.cli import main
from gdbtools.repl.session import Doing, state_of
from gdbtools.repl.terminal.toolbar import standing, toolbar
from tests.arch.x86_64.machine import long_mode

X86 = ARCHITECTURES["x86_64"]
PLACE = "0xffffffff81e2a3ab <native_safe_halt+11>"


def status_of(
    capsys: pytest.CaptureFixture[str], folder: Path, registers: dict[str, int], *more: str
) -> tuple[str, dict]:
    (folder / "ram.bin").write_bytes(bytes(0x4000))
    (folder / "registers.json").write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
    source = ["-s", f"{folder / 'ram.bin'}@0x0", "--registers", str(folder / "registers.json"), "--arch", "x86_64"]
    assert main(["status", *source]) == 0
    said = capsys.readouterr().out
    assert main(["status", *source, "--json"]) == 0
    return said, json.loads(capsys.readouterr().out)["result"]


def test_a_privilege_that_no_register_shows_is_not_known(capsys, tmp_path: Path) -> None:
    said, found = status_of(capsys, tmp_path, {"eflags": 0x246, "rip": 0xFFFF_FFFF_8100_0000})
    assert "privilege not known" in said
    assert "at supervisor" not in said
    assert {found[name] for name in X86.privileges[0].record} == {None}
    assert "at supervisor" in status_of(capsys, tmp_path, long_mode() | {"eflags": 0x246})[0]


@pytest.mark.parametrize("levels", [4, 5])
def test_the_prompt_says_no_half_and_all_of_pc(capsys, tmp_path: Path, levels: int) -> None:
    _, status = status_of(capsys, tmp_path, long_mode(levels) | {"eflags": 0x246})
    state = state_of(Doing.STOPPED, X86, status, None, PLACE)
    assert state.regime == f"cr3 ({levels}-level paging)"
    for columns in (70, 80, 100):
        assert PLACE in toolbar(state, "", columns).splitlines()[1]
    assert f"cr3 ({levels}-level paging)  {PLACE}" in standing(state)


def test_the_bits_of_cr3_may_be_a_pcid_where_cr4_is_not_known(capsys) -> None:
    assert main(["regs", "cr3=0x1234567"]) == 0
    assert "or PCID 0x567 with cr4.PCIDE" in " ".join(capsys.readouterr().out.split())
    assert main(["regs", "cr3=0x1234567", "cr4=0x20"]) == 0
    assert "or PCID" not in capsys.readouterr().out
