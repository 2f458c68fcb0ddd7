"""A crash log prints registers and a few descriptors: each answer goes as far as they do, and asserts no more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gdbtools.arch.aarch64.registers.translation import TCR_EL1
from gdbtools.cli import main

USUAL = f"{int(TCR_EL1(0).with_(T0SZ=16, T1SZ=16, TG1=2, IPS=5)):#x}"
"""4 KiB pages and 48 bits."""
PAGE = 0x0060_0000_0000_0703
"""A kernel's writable page: valid, accessed, Inner Shareable, PXN and UXN."""
TABLE = 0b11
USER = 1 << 6


@dataclass
class Report:
    """A log's registers, and its descriptors by level, as files."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def words(self, registers: Mapping[str, str], descriptors: list[int], far: int, root: int) -> list[str]:
        """Write them down; each descriptor is a raw image of its own, where the walk of `far` meets it."""
        made, table = [], root
        for level, descriptor in enumerate(descriptors, start=4 - len(descriptors) if len(descriptors) > 4 else 0):
            at = table + (far >> 39 - 9 * level & 511) * 8
            path = self.folder / f"level{level}"
            path.write_bytes(descriptor.to_bytes(8, "little"))
            made += ["-s", f"{path}@{at:#x}"]
            table = descriptor & 0xFFFF_FFFF_F000
        if not made:
            (self.folder / "nothing").write_bytes(bytes(8))
            made = ["-s", f"{self.folder / 'nothing'}@0x0"]
        file = self.folder / "registers.json"
        file.write_text(json.dumps(registers))
        return [*made, "--registers", str(file), "--arch", "aarch64"]

    def fault(self, words: list[str], *more: str) -> dict:
        status = main(["fault", *words, *more, "--json"])
        out, err = self.capsys.readouterr()
        assert (status, err) == (1, ""), err
        return json.loads(out)

    def text(self, words: list[str], *more: str) -> str:
        main(["fault", *words, *more])
        return self.capsys.readouterr().out


@pytest.fixture
def report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Report:
    return Report(tmp_path, capsys)


SIZE_FAR, SIZE_ROOT = 0xFFFF_8000_8D7C_F000, 0x5016_EF6_B000
SIZE = {"ESR": "96000003", "FAR": f"{SIZE_FAR:x}", "TTBR1_EL1": f"{SIZE_ROOT:#x}", "TCR_EL1": USUAL}
SIZE_DESCRIPTORS = [0x1000_0501_EDDF_E003, 0x1000_0501_EDDF_D003, 0x1000_0501_7B69_5003, 0x0068_7FFF_8400_0703]


def test_an_address_size_fault_shows_that_the_unknown_size_is_smaller_than_the_entrys_address(report: Report) -> None:
    words = report.words(SIZE, SIZE_DESCRIPTORS, SIZE_FAR, SIZE_ROOT)
    answer = report.fault(words)["result"]
    assert answer["verdict"] == "tables agree"
    assert answer["sentence"] == (
        f"EL1 read of {SIZE_FAR:#x}: address size fault, level 3, and the tables agree: "
        "the output address is beyond the physical address size."
    )
    assert answer["predicted"]["deciding"]["field"] == "OutputAddress"
    # 47 bits are too many, and the tables lie at 43 bits: of the sizes that there are, only 44.
    assert (answer["shown"]["field"], answer["shown"]["values"]) == ("PARange", ["0x0000000000000004"])
    assert answer["suspicions"] == []
    said = " ".join(report.text(words).split())
    assert "the fault shows fewer than 47 bits, and the tables on the way 43 or more: 44 bits (PARange=0b0100)" in said
    assert "barrier" not in said
    assert "DSB" not in said


def test_what_if_may_supply_the_register_that_is_missing(report: Report) -> None:
    words = report.words(SIZE, SIZE_DESCRIPTORS, SIZE_FAR, SIZE_ROOT)
    answer = report.fault(words, "--with", "ID_AA64MMFR0_EL1.PARange=4")["result"]
    assert (answer["verdict"], answer.get("shown")) == ("tables agree", None)
    assert answer["supposing"] == [{"what": "ID_AA64MMFR0_EL1.PARange", "before": None, "after": "0x0000000000000004"}]
    assert "44 bits, up to 0xfffffffffff" in report.text(words, "--with", "ID_AA64MMFR0_EL1.PARange=4")
    # With a size that holds it, the tables do not refuse it: nothing is shown then, and nothing asserted.
    assert report.fault(words, "--with", "ID_AA64MMFR0_EL1.PARange=5")["result"]["verdict"] == "tables permit"


def test_an_address_size_fault_of_level_0_may_be_of_the_ttbr(report: Report) -> None:
    root = 0x7FFF_8400_0000
    registers = {**SIZE, "ESR": "96000000", "TTBR1_EL1": f"{root:#x}"}
    answer = report.fault(report.words(registers, [], SIZE_FAR, root))["result"]
    assert (answer["verdict"], answer["predicted"]["deciding"]["holder"]) == ("tables agree", "TTBR1_EL1")
    assert "at level 0 the base in the TTBR, or TCR's IPS, may be meant" in answer["shown"]["said"]
    small = f"{int(TCR_EL1(int(USUAL, 16)).with_(IPS=0)):#x}"
    answer = report.fault(report.words({**registers, "TCR_EL1": small}, [], SIZE_FAR, root))["result"]
    assert (answer["verdict"], answer["predicted"]["deciding"]["field"]) == ("tables agree", "BADDR")


FAR, ROOT = 0xFFFF_0000_1234_5678, 0x4123_4000
DESCRIPTORS = [0x4200_0000 | TABLE, 0x4200_1000 | TABLE, 0x4200_2000 | TABLE, 0x4300_0000 | PAGE]
LEAST = {"ESR": "96000007", "FAR": f"{FAR:x}", "TTBR1_EL1": f"{ROOT:#x}"}


def test_a_verdict_needs_a_syndrome_an_address_and_a_root(report: Report) -> None:
    words = report.words(LEAST, [*DESCRIPTORS[:3], 0], FAR, ROOT)
    found = report.fault(words)
    answer = found["result"]
    assert (answer["verdict"], answer["predicted"]["deciding"]["level"]) == ("tables agree", 3)
    assert any("TCR_EL1: 4KB granule, 48 bits" in each for each in found["assumed"])
    absent = ("return_address", "saved_state", "vector_entry", "ipa")
    assert [answer[name] for name in absent] == [None] * 4
    said = report.text(words)
    assert "there is no SPSR_EL1" in " ".join(said.split())
    for false in ("returns to", "at no vector entry", "at the vector entry", "0x0,"):
        assert false not in said


@pytest.mark.parametrize(
    ("has", "lacks"),
    [
        ((), "no ESR_EL1, FAR_EL1, TTBR0_EL1 or TTBR1_EL1;"),
        (("FAR",), "no ESR_EL1, TTBR1_EL1;"),
        (("ESR",), "no FAR_EL1, TTBR0_EL1 or TTBR1_EL1;"),
        (("ESR", "FAR"), "no TTBR1_EL1;"),
        (("ESR", "TTBR1_EL1"), "no FAR_EL1;"),
    ],
)
def test_all_that_is_missing_is_named_at_once(report: Report, has: tuple[str, ...], lacks: str) -> None:
    words = report.words({name: LEAST[name] for name in has}, [], FAR, ROOT)
    assert main(["fault", *words]) == 3
    assert lacks in report.capsys.readouterr().err


def test_a_syndrome_alone_says_what_it_says(report: Report) -> None:
    answer = report.fault
    assert answer is not None
    words = report.words({"ESR": "f2000800"}, [], FAR, ROOT)
    assert main(["fault", *words, "--json"]) == 0
    found = json.loads(report.capsys.readouterr().out)["result"]
    assert found["sentence"].startswith("BRK #0x800")
    assert found["verdict"] == "not the tables"


def test_how_many_cpus_there_are_is_not_asserted_of_what_does_not_say(report: Report) -> None:
    entry = {"VBAR": "8000000", "PC": "8000200", "CPSR": "3c5", "SPSR": "5", "ELR": "8001000"}
    words = report.words({**LEAST, **entry}, DESCRIPTORS, FAR, ROOT)
    answer = report.fault(words)["result"]
    assert (answer["verdict"], answer["vector_entry"]) == ("tables permit", "current EL, SP_ELx")
    assert "only one CPU" not in report.text(words)
    assert main(["status", *words]) == 0
    assert "CPU 0 of 1" not in report.capsys.readouterr().out


def test_status_shows_the_translation_that_walk_uses_where_no_cpsr_says_the_level(report: Report) -> None:
    registers = {**LEAST, "TTBR0_EL1": "0x0", "TCR_EL1": USUAL, "SCTLR_EL1": "0x1"}
    words = report.words(registers, DESCRIPTORS, FAR, ROOT)
    assert main(["status", *words, "--json"]) == 0
    said = json.loads(report.capsys.readouterr().out)["result"]
    assert (said["el"], said["trouble"]) == (None, None)
    assert said["regimes"]


def test_a_permission_fault_shows_that_pan_was_set_where_no_spsr_says_so(report: Report) -> None:
    leaf = DESCRIPTORS[3] | USER
    words = report.words({**LEAST, "ESR": "9600000f"}, [*DESCRIPTORS[:3], leaf], FAR, ROOT)
    answer = report.fault(words)["result"]
    assert answer["verdict"] == "tables agree"
    assert (answer["shown"]["register"], answer["shown"]["field"]) == ("PSTATE", "PAN")
    words = report.words({**LEAST, "ESR": "9600000f", "SPSR": "5"}, [*DESCRIPTORS[:3], leaf], FAR, ROOT)
    assert report.fault(words)["result"]["verdict"] == "tables permit"


def test_an_access_flag_fault_shows_that_hardware_does_not_set_it_where_nothing_says_so(report: Report) -> None:
    told = f"{int(TCR_EL1(int(USUAL, 16)).with_(HA=1)):#x}"
    registers = {**LEAST, "ESR": "9600000b", "TCR_EL1": told}
    descriptors = [*DESCRIPTORS[:3], DESCRIPTORS[3] & ~(1 << 10)]
    answer = report.fault(report.words(registers, descriptors, FAR, ROOT))["result"]
    assert (answer["verdict"], answer["shown"]["field"]) == ("tables agree", "HAFDBS")
    known = {**registers, "ID_AA64MMFR1_EL1": "1"}
    answer = report.fault(report.words(known, descriptors, FAR, ROOT))["result"]
    assert (answer["verdict"], answer.get("shown")) == ("left to hardware", None)


def test_a_vhe_hosts_log_is_explained_by_its_own_tables(report: Report) -> None:
    registers = {"ESR_EL1": "96000007", "FAR_EL1": f"{FAR:x}", "TTBR1_EL1": f"{ROOT:#x}", "TCR_EL1": USUAL}
    found = report.fault(report.words({**registers, "PSTATE": "60400009"}, [*DESCRIPTORS[:3], 0], FAR, ROOT))
    assert found["result"]["verdict"] == "tables agree"
    assert found["result"]["sentence"].startswith(f"EL2 read of {FAR:#x}")
    assert any("taken for a VHE host's" in each for each in found["assumed"])
