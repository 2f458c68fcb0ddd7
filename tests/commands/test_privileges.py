"""Whose rights are asked about: by the name of the architecture's own levels, and as Arm's users always wrote it."""

from __future__ import annotations

import pytest

from gdbtools.cli import main
from tests.places import ROOT
from tests.test_toy import registered, source

__all__ = ["registered", "source"]
OSV = ["-s", str(ROOT / "fixtures/captures/osv-1131.core")]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main([*words])
    return status, *capsys.readouterr()


@pytest.mark.parametrize(
    ("named", "as_ever"),
    [
        (["walk", "0xffff800000000000", "--access", "write", "--privilege", "el0"], ["--el", "0"]),
        (["walk", "0xffff800000000000", "--privilege", "EL1"], ["--el", "1"]),
        (["map", "--perm", "w", "--privilege", "EL0"], ["--el0"]),
        (["map", "--perm", "rx", "--privilege", "eL1"], ["--el1"]),
    ],
)
def test_a_name_in_any_case_asks_what_the_number_asks(
    capsys: pytest.CaptureFixture[str], named: list[str], as_ever: list[str]
) -> None:
    assert said(capsys, *named, *OSV) == said(capsys, *named[:-2], *as_ever, *OSV)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("walk 0 --privilege S", "'S' is no level of privilege of AArch64; there are EL0, EL1, EL2 and EL3"),
        (
            "map --privilege supervisor",
            "'supervisor' is no level of privilege of AArch64; there are EL0, EL1, EL2 and EL3",
        ),
        ("walk 0 --privilege EL3", "EL3 does not run in EL1&0 stage 1, TTBR0_EL1; say --privilege EL0 or EL1"),
        ("map --privilege EL2", "EL2 does not run in EL1&0 stage 1, TTBR0_EL1; say --privilege EL0 or EL1"),
        ("walk 0 --el 3", "EL3 does not run in EL1&0 stage 1, TTBR0_EL1; say --el 0 or 1"),
        ("walk 0 --el 1 --privilege EL1", "--privilege and --el are the same question; leave one out"),
        ("map --el1 --privilege EL1", "--privilege and --el1 exclude each other; leave one out"),
    ],
)
def test_a_level_that_is_not_meant_is_one_line_that_lists_those_there_are(
    capsys: pytest.CaptureFixture[str], words: str, line: str
) -> None:
    assert said(capsys, *words.split(), *OSV) == (2, "", f"gdbtools: {line}\n")


def test_another_architecture_has_its_own_names_and_no_numbers(
    capsys: pytest.CaptureFixture[str], source: list[str]
) -> None:
    status, out, _ = said(capsys, "walk", "0x12", "--access", "execute", "--privilege", "USER", *source)
    assert (status, "user execute" in out) == (0, True)
    status, _, error = said(capsys, "walk", "0x12", "--el", "0", *source)
    assert (status, error) == (2, "gdbtools: Toy has no exception levels; say --privilege user\n")
    status, _, error = said(capsys, "map", "--privilege", "EL0", *source)
    assert (status, error) == (2, "gdbtools: 'EL0' is no level of privilege of Toy; there is user\n")
