"""`pte VALUE` on every architecture: any value at any level is an answer or one line, whichever format it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.cli import main

SMALL_PAGE, LARGE_PAGE, NEVER = 0x4000_047E, 0x4901_E811, 0x13
LONG = 0x60_0000_0000_0F41
KINDS = (*range(20), SMALL_PAGE, LARGE_PAGE, 0x4000_0C0E, 0x4004_0C0F)
WIDE = (1 << 31 | 0x41F, (1 << 32) - 1, 1 << 32 | 0x741, LONG, 1 << 63 | 0x3, (1 << 64) - 1, 1 << 64)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    status = main(["pte", "--json", *words])
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    found: dict[str, Any] = json.loads(out)["result"]
    return found


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["pte", *words]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("more", ["", "--json", "--stage 2", "--bits 64 --json", "--bits 32"])
def test_no_value_at_any_level_is_more_than_an_answer_or_one_line(
    capsys: pytest.CaptureFixture[str], architecture: str, more: str
) -> None:
    for value in (*KINDS, *WIDE):
        for level in ((), *(("--level", str(number)) for number in range(5))):
            status = main(["pte", hex(value), "--arch", architecture, *level, *more.split()])
            out, err = capsys.readouterr()
            assert (status, bool(out), err.count("\n")) in [(0, True, 0), (2, False, 1)], (hex(value), level, err)
            assert not err or err.startswith("gdbtools: ")


@pytest.mark.parametrize("value", [SMALL_PAGE, LARGE_PAGE, 0x4000_0C0E, 0x12])
def test_a_page_whose_table_nobody_knows_has_rights_of_its_own(capsys: pytest.CaptureFixture[str], value: int) -> None:
    [page] = told(capsys, hex(value), "--arch", "aarch32", "--level", "2")["readings"]
    assert page["kind"] == "page"
    assert set(page["attributes"]["rights"]) == {"pl0", "pl1"}
    readings = told(capsys, hex(value), "--arch", "arm")["readings"]
    assert [each["levels"] for each in readings] == [[1], [2]]


def test_a_page_that_is_never_executed_says_so_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    [page] = told(capsys, hex(NEVER), "--arch", "aarch32", "--level", "2")["readings"]
    assert page["attributes"]["rights"] == {"pl0": "---", "pl1": "rw-"}


def test_what_does_not_fit_a_short_descriptor_is_a_long_one_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = told(capsys, hex(LONG), "--arch", "aarch32")
    assert [each["levels"] for each in found["readings"]] == [[1], [2], [3]]
    main(["pte", hex(LONG), "--arch", "aarch32"])
    assert "64-bit descriptors, as the value does not fit 32" in " ".join(capsys.readouterr().out.split())


def test_bits_choose_the_format_of_what_fits_both(capsys: pytest.CaptureFixture[str]) -> None:
    block = "0x40000741"
    short, long = (told(capsys, block, "--arch", "aarch32", *words) for words in ((), ("--bits", "64")))
    assert [each["block_size"] for each in long["readings"]] == [1 << 30, 2 << 20, None]
    assert short["readings"][0]["kind"] == "table"
    assert told(capsys, block, "--arch", "aarch32", "--bits", "32") == short
    assert "have 64 bits; leave --bits out" in refused(capsys, block, "--arch", "aarch64", "--bits", "32")
    assert "have 64 bits at level 3" in refused(capsys, block, "--arch", "aarch32", "--bits", "32", "--level", "3")


def test_a_value_that_is_wider_than_the_registers_have_it_is_told_the_way_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    registers = tmp_path / "registers.json"
    registers.write_text(json.dumps({"SCTLR": "0x1", "TTBCR": "0x0", "TTBR0": "0x4000", "DACR": "0x1"}))
    source = ("--arch", "aarch32", "--registers", str(registers))
    said = refused(capsys, hex(LONG), *source)
    assert "does not fit the 32-bit descriptors of PL1&0 stage 1, TTBR0; give" in said
    assert "or --bits 64" in said
    assert told(capsys, hex(LONG), *source, "--bits", "64")["readings"][0]["block_size"] == 1 << 30


def test_sv32_has_32_bits(capsys: pytest.CaptureFixture[str]) -> None:
    assert "does not fit the 32-bit descriptors of S-mode" in refused(capsys, "0x1ffffffff", "--arch", "riscv32")


def test_a_second_stage_that_is_not_decoded_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, hex(LARGE_PAGE), "--arch", "aarch32", "--stage", "2")
    assert said == "gdbtools: no stage 2 of AArch32 is decoded here; leave --stage out\n"
