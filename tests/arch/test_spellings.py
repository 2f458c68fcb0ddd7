"""An architecture is known by whatever people call it, wherever one is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.cli import main
from gdbtools.machine.sources import open_source

SPELLED = {
    "x86-64": "x86_64",
    "AMD64": "x86_64",
    "arm64": "aarch64",
    "riscv": "riscv64",
    "rv32": "riscv32",
    "x86_64": "x86_64",
    "armv7": "aarch32",
}


@pytest.mark.parametrize(("word", "name"), SPELLED.items())
def test_a_value_is_of_the_architecture_that_a_word_stands_for(
    word: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["syndrome", "0x7", "--arch", name]) == 0
    said = capsys.readouterr().out
    assert main(["syndrome", "0x7", "--arch", word]) == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(("word", "name"), SPELLED.items())
def test_so_is_a_source(word: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(bytes(4096))
    assert open_source(f"{tmp_path / 'ram'}@0x0", architecture=word).architecture.name == name


def test_what_says_itself_what_it_is_may_be_called_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    capture = Path(__file__).parents[2] / "fixtures/captures/osv-1131.core"
    assert main(["status", "-s", str(capture), "--arch", "arm64"]) == 0
    assert main(["status", "-s", str(capture), "--arch", "amd64"]) == 2
    assert "is of aarch64, by its own account, and not of x86_64" in capsys.readouterr().err


def test_no_word_stands_for_two_and_none_for_none(capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for each in ARCHITECTURES.identities for word in (each.name, *each.spellings)]
    assert len(words) == len(set(words))
    assert main(["syndrome", "0x7", "--arch", "vax"]) == 2
    assert "'vax' is not decoded here; aarch64, riscv64, riscv32, x86_64, aarch32 is" in capsys.readouterr().err


def test_a_demo_is_chosen_by_the_same_words() -> None:
    from gdbtools.repl.demo import _parser

    assert _parser().parse_args(["--arch", "riscv"]).arch == "riscv64"
