"""`pte VALUE` reads a value as the registers of its source have it; where nobody says whose it is, that is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.places import ROOT

LINUX = str(ROOT / "fixtures/captures/linux-6.1.core")
PAGING = {"cr0": 0x8001_0001, "cr3": 0x1000, "cr4": 0x20, "efer": 0xD01, "maxphyaddr": 40}


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[Any, list[str]]:
    main(["pte", *words, "--json"])
    line = json.loads(capsys.readouterr().out)
    return line["result"], line.get("assumed", [])


def given(folder: Path, **registers: int) -> tuple[str, str]:
    (folder / "registers.json").write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
    return "--registers", str(folder / "registers.json")


def test_registers_alone_say_the_architecture_the_levels_and_what_is_reserved(capsys: Any, tmp_path: Path) -> None:
    value = f"0x{1 << 45 | 0x67:x}"
    result, assumed = asked(capsys, value, *given(tmp_path, **PAGING))
    assert result["readings"][0]["levels"][0] == 4
    assert {each["kind"] for each in result["readings"]} == {"invalid"}
    assert not [each for each in assumed if "neither" in each]
    result, _ = asked(capsys, value, *given(tmp_path, **PAGING | {"maxphyaddr": 46, "cr4": 0x1020}))
    assert [each["levels"] for each in result["readings"]] == [[5, 4, 3, 2], [1]]
    assert "invalid" not in {each["kind"] for each in result["readings"]}


def test_a_sources_own_registers_are_used_unless_the_words_say_more(capsys: Any) -> None:
    """What MAIR_EL1 says of an index is known then."""
    result, _ = asked(capsys, "0x40000000000713", "-s", LINUX)
    types = [each["attributes"]["memory"] for each in result["readings"] if each["attributes"]]
    bare, _ = asked(capsys, "0x40000000000713", "-s", LINUX, "--granule", "4k")
    assert types != [each["attributes"]["memory"] for each in bare["readings"] if each["attributes"]]


def test_what_an_image_without_registers_has_is_taken_as_before(capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(bytes(4096))
    result, _ = asked(capsys, "0x163", "-s", f"{tmp_path / 'ram'}@0x0", "--arch", "x86_64")
    assert (result, []) == asked(capsys, "0x163", "--arch", "x86_64")


def test_where_nobody_says_whose_a_value_is_that_is_said(capsys: Any) -> None:
    _, assumed = asked(capsys, "0x713")
    assert assumed == ["the value is AArch64's: neither a source nor --arch says whose it is"]
    assert asked(capsys, "0x713", "--arch", "aarch64")[1] == []
