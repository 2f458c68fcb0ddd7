"""Registers of a file: names as people write them, values in hexadecimal, and what is neither named with its entry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.model import Machine
from gdbtools.machine.sources import open_source

EL2H = 0x3C9


@pytest.fixture
def given(tmp_path: Path):
    """Open an image of zeros with these registers."""
    (tmp_path / "image").write_bytes(bytes(0x1000))

    def make(text: str | None = None, **values: object) -> Machine:
        file = tmp_path / "registers.json"
        file.write_text(json.dumps(values) if text is None else text)
        return open_source(f"{tmp_path / 'image'}@0x40000000", file, architecture="aarch64")

    return make


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ttbr1_el1", "TTBR1_EL1"),
        ("Esr_El1", "ESR_EL1"),
        ("ESR", "ESR_EL1"),
        ("far", "FAR_EL1"),
        ("ELR", "ELR_EL1"),
        ("SPSR", "SPSR_EL1"),
        ("CPSR", "cpsr"),
        ("PSTATE", "cpsr"),
        ("PC", "pc"),
        ("X0", "x0"),
        ("lr", "x30"),
        ("VBAR", "VBAR_EL1"),
        ("sp_el0", "SP_EL0"),
        ("MIDR_EL1", "MIDR_EL1"),
        ("APIAKEYLO_EL1", "APIAKeyLo_EL1"),
        ("L2CTLR_EL1", "L2CTLR_EL1"),
        ("ID_AA64MMFR3_EL1_RESERVED", "ID_AA64MMFR3_EL1_RESERVED"),
    ],
)
def test_a_register_may_be_called_in_any_case_and_without_its_level(given, written: str, name: str) -> None:
    assert given(**{written: "0x5"}).register(name) == 5


@pytest.mark.parametrize(("cpsr", "level"), [("3c5", 1), ("0", 1), ("3c9", 2), ("3cd", 3)])
def test_a_name_without_a_level_is_of_the_level_that_cpsr_says(given, cpsr: str, level: int) -> None:
    machine = given(ESR="96000006", cpsr=cpsr, HCR_EL2="0")
    assert machine.register(f"ESR_EL{level}") == 0x96000006
    assert f"ESR is taken for ESR_EL{level}" in [each.text for each in machine.assumed]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("TTBR1_ELI", "did you mean TTBR1_EL1?"),
        ("ESRR", "did you mean esr?"),
        ("SCTRL_EL1", "did you mean SCTLR_EL1?"),
        ("NONSENSE", "write names as the manual"),
    ],
)
def test_a_name_that_no_register_has_is_an_error_with_the_nearest(given, name: str, advice: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}' is no register of aarch64; {advice.replace('?', '.')}"):
        given(**{name: "0x5"})


def test_values_are_hexadecimal_and_said_to_be(given) -> None:
    machine = given(ESR_EL1="96000006", FAR_EL1="ffff80008d7cf000", TTBR1_EL1="0x40000000", x0=4096)
    assert [machine.register(name) for name in ("ESR_EL1", "FAR_EL1", "x0")] == [0x96000006, 0xFFFF80008D7CF000, 4096]
    assert tuple(each.text for each in machine.assumed)[:3] == (
        "ESR_EL1: 96000006 is read as hexadecimal: 0x96000006",
        "FAR_EL1: ffff80008d7cf000 is read as hexadecimal: 0xffff80008d7cf000",
        "x0: 4096 without quotes is read as decimal: 0x1000",
    )


@pytest.mark.parametrize("value", ["zz", "", "0x", "0x10000000000000000", True, None, 1.5, [], -1])
def test_what_is_no_value_names_its_entry(given, value: object) -> None:
    with pytest.raises(UsageError, match=r"registers\.json: TTBR1_EL1"):
        given(TTBR1_EL1=value)


def test_one_register_by_two_names_is_an_error(given) -> None:
    with pytest.raises(UsageError, match="has ESR_EL1 twice, with other values, once as ESR"):
        given(ESR_EL1="0x1", ESR="0x2")


@pytest.mark.parametrize("text", ["", "[]", "1", '{"assumed": "text"}', "{", "[" * 100_000])
def test_what_is_no_object_is_said_what_it_should_be(given, text: str) -> None:
    with pytest.raises(UsageError, match="is not a JSON object of register names to hex strings"):
        given(text)


def test_a_cpu_at_el2_with_el1s_names_is_taken_for_a_vhe_hosts_and_it_is_said(given) -> None:
    root, values = "0x40000000", {"TCR_EL1": "0x5b5503510", "ESR_EL1": "0x96000006", "FAR_EL1": "0xffff800000000000"}
    machine = given(TTBR1_EL1=root, TTBR0_EL1=root, PSTATE="60400009", **values)
    regimes = machine.architecture.regimes(machine.register)
    assert [each.name for each in regimes] == ["EL2&0 stage 1, TTBR0_EL2", "EL2&0 stage 1, TTBR1_EL2"]
    assert machine.exception().target == 2
    assert any("taken for a VHE host's" in each.text and "TTBR1_EL2" in each.text for each in machine.assumed)


@pytest.mark.parametrize("own", [{"TTBR0_EL2": "0x40000000"}, {"HCR_EL2": "0x80000000"}])
def test_a_hypervisor_with_registers_of_its_own_is_left_alone(given, own: dict[str, str]) -> None:
    machine = given(TTBR1_EL1="0x40000000", PSTATE=f"{EL2H:x}", **own)
    assert not any("VHE" in each.text for each in machine.assumed)
    with pytest.raises(Unavailable):
        machine.register("TTBR1_EL2")


def test_a_root_without_a_control_register_has_the_usual_tables_and_it_is_said(given) -> None:
    machine = given(TTBR1_EL1="0x40000000")
    regime = machine.architecture.regime_for(machine.register, 0xFFFF << 48)
    assert [level.number for level in regime.levels] == [0, 1, 2, 3]
    assert any("TCR_EL1: 4KB granule, 48 bits" in each.text for each in machine.assumed)
    assert given(TCR_EL1="0x19", TTBR1_EL1="0x40000000").assumed == ()


def test_an_image_does_not_say_how_many_cpus_there_are(given) -> None:
    assert not given(TTBR1_EL1="0x40000000").counted
