"""An architecture is one folder, or here one file, and one line that registers it: the other rooms know none."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.cli import main
from gdbtools.repl.session import Doing, state_of
from tests.toy import IDENTITY, TOY, ToyRegime

ROOT_TABLE, BELOW = 0x1000, 0x2000
X, W, LEAF, V = 8, 4, 2, 1


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ARCHITECTURES, "identities", [*ARCHITECTURES.identities, IDENTITY])


@pytest.fixture
def source(tmp_path: Path) -> list[str]:
    """An image: 0x0 to 0x3fff as four pages, the second one empty, and 4 MB from 0x400000 on as one block."""
    image = bytearray(0x4000)
    struct.pack_into("<2I", image, ROOT_TABLE, BELOW | V, 0x0080_0000 | LEAF | W | V)
    struct.pack_into("<4I", image, BELOW, 0x3000 | X | V, 0, 0x5000 | W | V, 0x6000 | W | V)
    (tmp_path / "toy.bin").write_bytes(image)
    (tmp_path / "toy.json").write_text(json.dumps({"TTB": hex(ROOT_TABLE | 1), "pc": "0x10"}))
    return ["-s", f"{tmp_path / 'toy.bin'}@0", "--registers", str(tmp_path / "toy.json")]


def ask(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> list[Any]:
    assert main([*words, "--json"]) == status, capsys.readouterr().err
    return [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines()]


def test_the_registers_names_say_whose_an_image_is(capsys: pytest.CaptureFixture[str], source: list[str]) -> None:
    (status,) = ask(capsys, "status", *source)
    assert (status["architecture"], status["privilege"], status["trouble"]) == ("toy", "user", None)
    assert [regime["levels"] for regime in status["regimes"]] == [[0, 1]]
    assert main(["status", *source[:2]]) == 2
    assert "say --arch aarch64|riscv64|riscv32|x86_64|aarch32|toy" in capsys.readouterr().err
    assert main(["status", *source[:2], "--arch", "toy"]) == 0


def test_the_toolbar_calls_a_regime_as_the_architecture_does(
    capsys: pytest.CaptureFixture[str], source: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ToyRegime, "regime_name", "toy, of course", raising=False)
    (status,) = ask(capsys, "status", *source)
    assert state_of(Doing.SOURCE, TOY, status, None, "").regime == "toy, of course"


def test_walks_and_maps_have_entries_of_its_own_size(capsys: pytest.CaptureFixture[str], source: list[str]) -> None:
    page, hole, block = ask(capsys, "walk", "0x12", "0x1000", "0x400123", *source, status=1)
    assert (page["output"], page["steps"][-1]["descriptor_address"]) == ("0x0000000000003012", "0x0000000000002000")
    assert (hole["fault"]["kind"], hole["fault"]["status"]) == ("translation", None)
    assert block["output"] == "0x0000000000800123"
    (written,) = ask(capsys, "walk", "0x12", "--access", "write", *source, status=1)
    assert (written["fault"]["kind"], written["fault"]["level"]) == ("permission", 1)
    (mapped,) = ask(capsys, "map", *source)
    found = [(run["first"], run["size"], run["output"]) for run in mapped["runs"]]
    assert [int(first, 16) for first, _, _ in found] == [0, 0x2000, 0x400000]
    assert [size for _, size, _ in found] == [0x1000, 0x2000, 0x400000]


def test_a_capture_of_it_opens_and_is_compared(
    capsys: pytest.CaptureFixture[str], source: list[str], tmp_path: Path
) -> None:
    core = str(tmp_path / "toy.core")
    assert main(["capture", core, *source]) == 0
    capsys.readouterr()
    (before,), (after,) = ask(capsys, "map", *source), ask(capsys, "map", "-s", core)
    assert before["runs"] == after["runs"]
    ask(capsys, "diff", core, core)
    assert main(["report", "-s", core, "-o", str(tmp_path / "toy.html")]) == 0
    assert "0x400000" in (tmp_path / "toy.html").read_text()


@pytest.mark.parametrize(
    "command", ["regs", "regs TTB", "status", "map --perm w", "tables --all", "walk 0x12 --access execute"]
)
def test_what_it_has_is_answered_in_text(capsys: pytest.CaptureFixture[str], source: list[str], command: str) -> None:
    assert main([*command.split(), *source]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "lacks"),
    [
        ("fault", "for Toy no exceptions are known here"),
        ("syndrome", "for Toy no exceptions are known here"),
        ("find-roots", "for Toy no looks of tables are known here"),
        ("fixup --dry-run", "for Toy no exceptions are known here"),
        ("pte 0x12 V=0 --dry-run", "for Toy no repairs of descriptors are known here"),
        ("clear-af 0x12 --dry-run", "for Toy no repairs of descriptors are known here"),
    ],
)
def test_what_it_lacks_is_one_line(
    capsys: pytest.CaptureFixture[str], source: list[str], command: str, lacks: str
) -> None:
    assert main([*command.split(), *source]) == 3
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert lacks in said.err


def test_the_prompt_asks_the_same(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["open", source[1], "--registers", source[3], "-c", "map", "-c", "walk 0x12"]) == 0
    assert "0x3012" in capsys.readouterr().out
