"""Each cause of a page fault with the very bit that decides, and the register or the entry that has it."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.arch.x86_64.test_page_faults import REGISTERS, image

P, RW, US, A, D, PS, NX = 1, 2, 4, 1 << 5, 1 << 6, 1 << 7, 1 << 63
LEVELS = {4: 0x1000, 3: 0x2000, 2: 0x3000, 1: 0x5020}
"""Where the entries of 0x4000 are."""
LEAF = 0x4000 | P | RW | US | A | D
WP, PAE = 1 << 16, 0x20
PG = 0x8000_0001
SMEP, SMAP, PKE, PKS, CET = 1 << 20, 1 << 21, 1 << 22, 1 << 24, 1 << 23
KEY = 5
STACKS = {"cr4": PAE | CET, "cr0": PG | WP}
KEYED = LEAF | KEY << 59


def explained(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    code: int,
    entries: Mapping[int, int],
    registers: Mapping[str, int],
) -> tuple[Any, str]:
    """Return what `fault` records, and what it shows, of a fault with that error code."""
    memory = image(code)
    for level, entry in {1: LEAF, **entries}.items():
        memory[LEVELS[level] : LEVELS[level] + 8] = struct.pack("<Q", entry)
    (tmp_path / "ram").write_bytes(memory)
    values = {**REGISTERS, "error_code": code, **registers}
    file = tmp_path / "registers.json"
    file.write_text(json.dumps({name: hex(value) for name, value in values.items()}))
    source = ["fault", "-s", f"{tmp_path / 'ram'}@0x0", "--registers", str(file)]
    assert main([*source, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)["result"]
    assert main(source) == 1
    return answer, " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("code", "entries", "registers", "cause", "holder", "field", "level"),
    [
        (0x4, {1: LEAF & ~P}, {}, "the entry is not present", "descriptor", "P", 1),
        (0x4, {2: 0x5000 | RW | US}, {}, "the entry is not present", "descriptor", "P", 2),
        (0x7, {1: LEAF & ~RW}, {}, "it is not writable: R/W is 0", "descriptor", "RW", 1),
        (0x7, {3: 0x3000 | P | US}, {}, "it is not writable: R/W is 0", "descriptor", "RW", 3),
        (0x3, {1: LEAF & ~(RW | US)}, {"cr0": PG | WP}, "it is not writable: R/W is 0", "descriptor", "RW", 1),
        (0x5, {1: LEAF & ~US}, {}, "user mode has no access: U/S is 0", "descriptor", "US", 1),
        (0x5, {4: 0x2000 | P | RW}, {}, "user mode has no access: U/S is 0", "descriptor", "US", 4),
        (0x15, {1: LEAF | NX}, {}, "it is not executable: NX is 1", "descriptor", "NX", 1),
        (0x15, {2: 0x5000 | P | RW | US | NX}, {}, "it is not executable: NX is 1", "descriptor", "NX", 2),
        (0xD, {1: LEAF | 1 << 45}, {}, "an address bit beyond MAXPHYADDR is set", "descriptor", "Reserved", 1),
        (0xD, {4: 0x2000 | P | RW | US | PS}, {}, "no entry of this level maps a page", "descriptor", "Reserved", 4),
        (0xD, {1: LEAF | NX}, {"efer": 0x500}, "NX is reserved while EFER.NXE is 0", "descriptor", "NX", 1),
        (0x11, {}, {"cr4": PAE | SMEP}, "so SMEP keeps supervisor mode from executing it", "cr4", "SMEP", None),
        (0x1, {}, {"cr4": PAE | SMAP}, "supervisor mode may not while eflags.AC is 0", "cr4", "SMAP", None),
        (0x25, {1: KEYED}, {"cr4": PAE | PKE, "pkru": 1 << 2 * KEY}, "denies all data", "pkru", "AD5", None),
        (0x27, {1: KEYED}, {"cr4": PAE | PKE, "pkru": 2 << 2 * KEY}, "denies writes", "pkru", "WD5", None),
        (
            0x21, {1: KEYED & ~US}, {"cr4": PAE | PKS, "pkrs": 1 << 2 * KEY}, "denies all data", "pkrs", "AD5", None,
        ),
        (0x47, {}, STACKS, "it is no shadow stack", "descriptor", "RW", 1),
        (0x47, {1: LEAF & ~(RW | D)}, STACKS, "it is no shadow stack", "descriptor", "D", 1),
        (
            0x47, {1: LEAF & ~RW, 2: 0x5000 | P | US}, STACKS, "it is no shadow stack",
            "descriptor", "RW", 2,
        ),
        (0x43, {1: LEAF & ~RW}, STACKS, "so it is no shadow stack of supervisor mode", "descriptor", "US", 1),
    ],
)  # fmt: skip
def test_each_cause_is_named_with_its_bit(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    code: int,
    entries: Mapping[int, int],
    registers: Mapping[str, int],
    cause: str,
    holder: str,
    field: str,
    level: int | None,
) -> None:
    answer, said = explained(tmp_path, capsys, code, entries, registers)
    assert answer["verdict"] == "tables agree"
    assert cause in answer["sentence"]
    deciding = answer["predicted"]["deciding"]
    assert (deciding["holder"], deciding["field"], deciding["level"]) == (holder, field, level)
    if level is not None:
        assert int(deciding["descriptor_address"], 16) == LEVELS[level]
    assert int(answer["predicted"]["status"], 16) == code, "the tables foretell the very error code"
    assert (f"{field}=" in said and "checks no more than presence would loop" in said) is bool(code & 1)


def test_a_shadow_stack_that_is_one_is_refused_to_nobody_it_is_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer, _ = explained(tmp_path, capsys, 0x47, {1: LEAF & ~RW}, STACKS)
    assert answer["verdict"] == "tables permit"
    assert answer["sentence"].startswith("user shadow-stack write of 0x4000: page fault")


@pytest.mark.parametrize(("code", "rule"), [(0x8005, "SGX=1"), (0x85, "HLAT=1")])
def test_a_refusal_by_sgx_or_hlat_is_not_taken_for_spurious(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: int, rule: str
) -> None:
    answer, _ = explained(tmp_path, capsys, code, {}, {})
    assert answer["verdict"] == "not replayed"
    assert answer["sentence"].endswith(f"by a rule that is not replayed here: {rule}.")
