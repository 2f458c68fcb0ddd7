"""`rights` is what entries and control registers grant; what a kernel switches around its own accesses is asked by
`--access`: SUM of RISC-V, eflags.AC where SMAP is on, PSTATE.PAN of Arm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main


@dataclass(frozen=True)
class Case:
    """A user's page of 1 GiB by one entry of a table at 0x1000, and registers while a switch is off and on."""

    architecture: str
    entry: int
    above: int
    """The entry of the table above at 0x0, if there is one."""
    registers: Mapping[str, int]
    denies: Mapping[str, int]
    permits: Mapping[str, int]
    privilege: str
    rights: str


RISCV = Case(
    "riscv64", 0xDF, 0, {"satp": 8 << 60 | 1, "priv": 1, "pc": 0, "menvcfg": 0},
    {"mstatus": 0}, {"mstatus": 1 << 18}, "s", "rw-",
)  # fmt: skip
X86 = Case(
    "x86_64", 0xE7, 0x1007,
    {"cr0": 0x8001_0001, "cr3": 0, "cr4": 0x30_0020, "efer": 0xD01, "cs": 0x10, "maxphyaddr": 40},
    {"eflags": 2}, {"eflags": 2 | 1 << 18}, "supervisor", "rw-",
)  # fmt: skip
ARM = Case(
    "aarch64", 0x0000_0000_0000_0741, 0, {
        "TTBR0_EL1": 0x1000, "TTBR1_EL1": 0, "TCR_EL1": 25 | 1 << 23 | 0b010 << 32, "SCTLR_EL1": 1, "MAIR_EL1": 0xFF,
    }, {"cpsr": 0x5 | 1 << 22}, {"cpsr": 0x5}, "el1", "rw-",
)  # fmt: skip


def ask(capsys: pytest.CaptureFixture[str], folder: Path, case: Case, switch: Mapping[str, int], *words: str) -> Any:
    image = bytearray(0x2000)
    image[0:8], image[0x1000:0x1008] = case.above.to_bytes(8, "little"), case.entry.to_bytes(8, "little")
    (folder / "ram").write_bytes(image)
    given = {name: hex(value) for name, value in {**case.registers, **switch}.items()}
    (folder / "registers.json").write_text(json.dumps(given))
    source = ["-s", f"{folder / 'ram'}@0x0", "--arch", case.architecture, "--registers", str(folder / "registers.json")]
    main(["walk", "0x10", *source, *words, "--json"])
    return json.loads(capsys.readouterr().out)["result"]


@pytest.mark.parametrize("case", [RISCV, X86, ARM], ids=lambda case: case.architecture)
def test_a_kernels_own_switch_is_no_part_of_rights_and_decides_the_access(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, case: Case
) -> None:
    words = ("--access", "read", "--privilege", case.privilege)
    off, on = (ask(capsys, tmp_path, case, each, *words) for each in (case.denies, case.permits))
    assert (off["outcome"], on["outcome"]) == ("fault", "mapped")
    assert off["fault"]["kind"] == "permission"
    assert off["attributes"]["rights"] == on["attributes"]["rights"]
    assert off["attributes"]["rights"][case.privilege].startswith(case.rights)
