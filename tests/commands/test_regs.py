"""`regs`: one screen of what is in force, every field of one or of all, and values that somebody wrote down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Brief
from gdbtools.bits import FieldValue
from gdbtools.cli import main
from gdbtools.commands.regs import run as regs_run
from tests.places import ROOT
from tests.tables import EL1H, Tables

CAPTURE = str(ROOT / "fixtures/captures/access-flag.core")
SCREEN = 24
ARM = ARCHITECTURES["aarch64"]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["regs", *words]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["regs", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def fields_of(line: str) -> dict[str, int]:
    return {name: int(value, 16) for name, value in json.loads(line)["result"]["fields"].items() if value is not None}


def source(tmp_path: Path, **registers: int) -> list[str]:
    """Return the arguments of a source that has these registers, and memory that nobody asks for."""
    values = Tables().registers(**registers)
    (tmp_path / "raw.bin").write_bytes(bytes(4096))
    (tmp_path / "registers.json").write_text(json.dumps({name: hex(value) for name, value in values.items()}))
    return ["-s", f"{tmp_path / 'raw.bin'}@0x40000000", "--registers", str(tmp_path / "registers.json")]


def test_without_names_it_is_one_screen_of_what_translates_and_of_the_last_exception(capsys) -> None:
    lines = said(capsys, "-s", CAPTURE).splitlines()
    assert len(lines) <= SCREEN
    first = [line.split()[0] for line in lines if "0x" in line]
    assert first[:3] == ["cpsr", "SCTLR_EL1", "TCR_EL1"]
    assert {"TTBR0_EL1", "TTBR1_EL1", "MAIR_EL1", "ESR_EL1", "FAR_EL1", "ELR_EL1", "SPSR_EL1"} <= set(first)


def test_a_hypervisors_stop_shows_its_own_and_what_it_configures(capsys, tmp_path: Path) -> None:
    el2 = {f"{name}_EL2": 0 for name in ("TCR", "SCTLR", "TTBR0", "MAIR", "VBAR", "ESR", "FAR", "ELR", "SPSR")}
    text = said(capsys, *source(tmp_path, **el2, cpsr=0b1001, HCR_EL2=1 << 31 | 1, VTCR_EL2=0x80023558, VTTBR_EL2=0))
    names = [line.split()[0] for line in text.splitlines() if "0x" in line]
    assert {"TCR_EL2", "ESR_EL2", "HCR_EL2", "VTCR_EL2", "VTTBR_EL2"} <= set(names)
    assert not {"TCR_EL1", "ESR_EL1", "TTBR1_EL2"} & set(names)


def test_all_explains_every_field_of_every_register(capsys) -> None:
    brief, everything = said(capsys, "-s", CAPTURE), said(capsys, "-s", CAPTURE, "--all")
    assert everything.count("\n") > 10 * SCREEN
    assert "write implies execute-never" in everything
    assert "write implies execute-never" not in brief


def test_json_has_every_register_with_or_without_all(capsys) -> None:
    assert said(capsys, "-s", CAPTURE, "--json") == said(capsys, "-s", CAPTURE, "--json", "--all")


def test_mair_says_which_memory_type_each_byte_is(capsys) -> None:
    text = said(capsys, "-s", CAPTURE, "MAIR_EL1")
    rows = {line.split()[1]: line for line in text.splitlines() if line.startswith("[")}
    assert rows["Attr3"].endswith("Normal Non-cacheable")
    assert rows["Attr1"].endswith("Device-nGnRE")


@pytest.mark.parametrize("name", ["VTCR_EL2", "VSTCR_EL2", "SCR_EL3", "TCR_EL3", "SCTLR_EL3", "TCR_EL2", "SCTLR_EL2"])
def test_a_bit_that_is_res1_is_no_surprise(capsys, name: str) -> None:
    values = {"SCR_EL3": 0x30, "TCR_EL3": 0x8080_0000, "TCR_EL2": 0x8080_0000, "SCTLR_EL3": 0x30C5_0830}
    value = values.get(name, 0x30C5_0830 if name == "SCTLR_EL2" else 0x8000_0000)
    assert "no field claims" not in said(capsys, f"{name}={value:#x}")
    free = next(bit for bit in range(63, 0, -1) if ARM.registers[name].reserved_mask() >> bit & 1)
    assert "no field claims" in said(capsys, f"{name}={value | 1 << free:#x}")


def test_a_name_with_a_field_is_that_field(capsys, tmp_path: Path) -> None:
    text = said(capsys, "HCR_EL2.TVM", *source(tmp_path, HCR_EL2=1 << 31))
    assert text.splitlines() == ["HCR_EL2.TVM [26] = 0  writes of virtual memory controls: not trapped"]


def test_a_field_that_there_is_not_names_the_one_that_was_meant(capsys, tmp_path: Path) -> None:
    assert "did you mean EnSCXT?" in refused(capsys, "HCR_EL2.EnSCTX", *source(tmp_path, HCR_EL2=0))
    assert "did you mean TTBR0_EL1?" in refused(capsys, "TTRB0_EL1=3")


def test_values_are_decoded_without_a_source(capsys) -> None:
    [line] = said(capsys, "--json", "TCR_EL1=0x200803519").splitlines()
    assert fields_of(line)["T0SZ"] == 0x19
    assert fields_of(line)["TG0"] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["ESR_EL1=0x96000046", "FAR_EL1=0xffff000000001000"],
        ["ESR_EL1: 96000046, FAR_EL1 = ffff000000001000"],
        ["esr=96000046 far=ffff000000001000"],
        ["esr : 0x96000046;far:ffff000000001000"],
    ],
)
def test_they_are_read_as_logs_print_them(capsys, words: list[str]) -> None:
    esr, far = said(capsys, "--json", *words).splitlines()
    assert json.loads(esr)["result"]["value"] == "0x0000000096000046"
    assert json.loads(far)["result"]["value"] == "0xffff000000001000"
    assert json.loads(esr)["result"]["name"] == "ESR_EL1"


def test_what_another_register_lays_out_goes_by_that_where_it_is_given(capsys) -> None:
    tcr = "TCR_EL2=0x80803520"
    alone, host = said(capsys, tcr), said(capsys, tcr, f"HCR_EL2={1 << 34:#x}")
    assert "HCR_EL2.E2H is taken for 0" in alone
    assert "taken for" not in host
    assert "T1SZ" in host
    assert "T1SZ" not in alone


@pytest.mark.parametrize("text", ["TCR_EL1=", "TCR_EL1=0x1 and more", "=5", "TCR_EL1=0xg"])
def test_what_gives_no_value_is_one_line(capsys, text: str) -> None:
    assert refused(capsys, text)


def test_a_given_value_goes_before_the_sources(capsys, tmp_path: Path) -> None:
    given, own = said(capsys, "--json", "SPSR_EL1=0x0", "SPSR_EL1", *source(tmp_path, SPSR_EL1=EL1H)).splitlines()
    assert fields_of(given)["M"] == fields_of(own)["M"] == 0


def test_no_two_values_of_a_field_read_alike_in_an_overview() -> None:
    """HAFDBS=2 was cut at its comma to what 1 says."""
    for name, layout in ARM.registers.items():
        brief = ARM.brief_fields.get(name.partition("_EL")[0], Brief(()))
        for field in layout.fields():
            if field.name in (*brief.always, *brief.if_set) and field.width < 8:
                said = [regs_run._said(FieldValue(field, value)) for value in range(1 << field.width)]
                assert len(set(said)) == len(said), f"{name}.{field.name}: {said}"
