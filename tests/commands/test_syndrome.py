"""A syndrome as it was copied: an ISS without its class, a digit too many, and what a log leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdbtools.cli import main


def esr(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict:
    assert main(["esr", *words, "--json"]) == status
    return json.loads(capsys.readouterr().out)["result"]


def test_an_iss_without_its_class_is_offered_as_one(capsys) -> None:
    [note] = esr(capsys, "0x1c08006")["notes"]
    assert "perhaps an ISS without its class, as Xen prints it" in note
    assert "`esr 0x1c08006 --class 0x24`" in note
    found = esr(capsys, "0x1c08006", "--class", "0x24")
    assert found["value"] == "0x0000000093c08006"
    assert (found["class"], found["fault"]["kind"], found["fault"]["level"]) == (
        "Data Abort from a lower Exception level",
        "translation",
        2,
    )
    assert found["transfer"]["size_bytes"] == 8
    assert esr(capsys, "1c08006", "--class", "24") == found


@pytest.mark.parametrize("value", ["0", "0x2000000", "0x96000006", "0x5600000f"])
def test_a_whole_syndrome_is_not_taken_for_an_iss(capsys, value: str) -> None:
    assert esr(capsys, value)["notes"] == []


@pytest.mark.parametrize("words", [("0x96000006", "--class", "0x24"), ("0x1", "--class", "0x40")])
def test_a_class_goes_with_an_iss_only(capsys, words: tuple[str, ...]) -> None:
    assert main(["esr", *words]) == 2
    assert "an ISS has 25 bits, a class is from 0 to 0x3f" in capsys.readouterr().err


def test_nine_digits_are_doubted(capsys) -> None:
    [note] = esr(capsys, "0x86000000f")["notes"]
    assert "bits above 31 are set" in note
    assert "it has nine digits: perhaps 0x8600000f was meant" in note


@pytest.mark.parametrize("value", ["0x2096000007", "0x209600000f", "0x8600000f", "0x20000009600000f"])
def test_what_an_iss2_may_hold_is_not_doubted_for_its_length(capsys, value: str) -> None:
    assert not any("nine digits" in note for note in esr(capsys, value)["notes"])


def test_a_status_that_exclusives_and_atomics_have_is_named_for_them(capsys) -> None:
    assert esr(capsys, "0x96000035")["fault"]["kind"] == "unsupported atomic access"
    main(["esr", "0x96000035"])
    assert "level: unsupported atomic access " in capsys.readouterr().out.replace("\n", " ")


def test_status_0_is_of_level_0_or_of_the_ttbr(capsys) -> None:
    fields = {each["name"]: each["meaning"] for each in esr(capsys, "0x96000000")["fields"]}
    assert fields["DFSC"] == "Address size fault, level 0, or of the base in TTBRn"


def test_a_syndrome_is_decoded_where_nothing_else_of_the_exception_is_there(capsys, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(8))
    file = tmp_path / "registers.json"
    file.write_text('{"ESR": "96000006"}')
    found = esr(capsys, "-s", f"{tmp_path / 'image'}@0x0", "--registers", str(file))
    assert (found["fault"]["kind"], found["fault"]["level"]) == ("translation", 2)


@pytest.mark.parametrize(
    ("far", "syndrome", "said"),
    [
        (0xFFFF_0000_1234_5673, 0x97C0_8021, "is 3 beyond a multiple of 8, the size of the access"),
        (0xFFFF_0000_1234_5678, 0x97C0_8021, "is a multiple of 8, the size of the access; the memory is Normal"),
        (0xFFFF_0000_1234_5674, 0x9600_0021, "is a multiple of 4 and of no more; the syndrome does not say how large"),
    ],
)
def test_an_alignment_fault_says_how_the_address_is_aligned(
    capsys, tmp_path, far: int, syndrome: int, said: str
) -> None:
    from tests.commands.test_map import saved
    from tests.tables import Tables

    tables = Tables()
    tables.map(0xFFFF_0000_1234_5000, 0x4300_0000, AttrIndx=4)
    words = saved(tables, tmp_path, tables.registers(ESR_EL1=syndrome, FAR_EL1=far))
    assert main(["fault", *words]) == 1
    assert f"{far:#x} {said}" in " ".join(capsys.readouterr().out.split())
