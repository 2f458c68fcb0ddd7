"""Where it is known whose a source is, help and complaints have that architecture's words and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdbtools.cli import main
from tests.places import ROOT

LINUX = str(ROOT / "fixtures/captures/linux-6.1.core")
ARM_WORDS = ("--el ", "el2-vhe", "stage2")


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(list(words)) == status
    out, err = capsys.readouterr()
    return " ".join((err if status else out).split())


@pytest.mark.parametrize(
    ("words", "regimes"),
    [
        (("--arch", "x86_64"), "linear, npt, ept"),
        (("--arch", "riscv64"), "s, vs, g, m"),
        (("-s", LINUX), "el1, el2, el2-vhe, el3, stage2, secure- stage2"),
    ],
)
def test_help_has_the_regimes_and_options_of_the_architecture_that_is_told(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], regimes: str
) -> None:
    text = said(capsys, "walk", "--help", *words)
    assert f"is using): {regimes} --root" in text
    assert all((each in text) == (words[0] == "-s") for each in ARM_WORDS)


def test_help_that_nobody_says_whose_it_is_has_all(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "walk", "--help")
    assert all(each in text for each in (*ARM_WORDS, "linear", "vs, g, m"))


@pytest.mark.parametrize(("name", "has_classes"), [("esr", True), ("scause", False), ("pf", False)])
def test_a_syndromes_own_name_says_whose_help_it_is(
    capsys: pytest.CaptureFixture[str], name: str, has_classes: bool
) -> None:
    assert ("--class" in said(capsys, name, "--help")) == has_classes


def test_no_complaint_about_an_address_has_arms(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("pf", "scause", "esr"):
        assert "write an address like 0x1000" in said(capsys, name, "zzz", status=2)


@pytest.mark.parametrize(
    ("words", "register", "field"),
    [(("satp.MODE=9", "--arch", "riscv64"), "satp", "MODE"), (("cr4.LA57=1",), "cr4", "LA57")],
)
def test_a_field_that_is_given_a_value_is_told_what_takes_one(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], register: str, field: str
) -> None:
    text = said(capsys, "regs", *words, status=2)
    assert f"write {register}=VALUE" in text
    assert f"walk ADDRESS --with {register}.{field}=VALUE" in text


def test_an_address_of_physical_memory_protection_says_what_each_mode_makes_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = said(capsys, "regs", "pmpaddr0=0x200003ff", "--arch", "riscv64")
    assert "TOR: where a range ends; NA4: it; NAPOT: its last ones say the size" in text


@pytest.mark.parametrize("source", [LINUX, "ram@0x0"])
def test_a_file_does_not_run_and_cannot_be_held(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ram").write_bytes(bytes(4096))
    text = said(capsys, "walk", "0x0", "-s", source, "--stop", status=2)
    assert f"--stop holds a guest that runs, and {source} is no QEMU's monitor (qmp:PATH); leave it out" in text
