"""`audit` of a system that is no paravirtual guest: what may be written and executed, and that nothing is no pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.commands.test_isolation import asked, refused, text, unproven
from tests.commands.test_map import saved
from tests.isolated import KERNEL, PLANTED, Isolated
from tests.tables import Tables

BOTH = {"AttrIndx": 4, "SH": 3}


def lower(t: Tables) -> dict[str, int]:
    """Return registers by which the lower half alone is translated."""
    registers = t.registers()
    return registers | {"TCR_EL1": registers["TCR_EL1"] | 1 << 23}


def rules(result: dict) -> dict[str, list[tuple[int, int]]]:
    """Return first address and size of each finding, by rule."""
    found: dict[str, list[tuple[int, int]]] = {}
    for each in result["findings"]:
        found.setdefault(each["rule"], []).append((int(each["first"], 16), each["size"]))
    return found


def test_what_the_kernel_may_write_and_execute_is_told_from_what_a_user_may(capsys, tmp_path: Path) -> None:
    t = Tables(_next=0x4000_1000)
    for page in range(3):
        t.map(0x1000 + (page << 12), 0x8000_0000 + (page << 14), AP=0b00, UXN=1, **BOTH)
    t.map(0x9000, 0x9000_0000, AP=0b01, PXN=1, **BOTH)
    t.map(0xB000, 0x9100_0000, AP=0b10, UXN=1, **BOTH)
    source = saved(t, tmp_path, lower(t))
    found = asked(capsys, "audit", *source, status=1)
    assert rules(found) == {"writable-executable": [(0x1000, 0x3000)], "user-writable-executable": [(0x9000, 0x1000)]}
    assert found["looked_at"]["leaves"] == 5
    only = asked(capsys, "audit", "--rule", "user-writable-executable", *source, status=1)
    assert rules(only) == {"user-writable-executable": [(0x9000, 0x1000)]}
    assert "EL1 may write and execute 12KB" in text(capsys, "audit", *source, status=1)


def test_of_how_much_each_rule_was_asked_is_shown_where_it_is_asked_for(capsys, tmp_path: Path) -> None:
    t = Tables(_next=0x4000_1000)
    t.map(0x1000, 0x8000_0000, AP=0b00, UXN=1, **BOTH)
    source = saved(t, tmp_path, lower(t))
    told = text(capsys, "audit", *source, status=1)
    assert re.search(r"rules 1 of \d+ broken;", told)
    assert "asked of" not in told
    assert told.index("may write and execute") < told.index(" broken;")
    shown = text(capsys, "audit", "--counts", *source, status=1)
    assert "writable-executable 1 mappings 1" in shown


def test_what_has_no_such_mapping_passes(capsys, tmp_path: Path) -> None:
    t = Tables(_next=0x4000_1000)
    t.map(0x1000, 0x8000_0000, AP=0b10, UXN=1, **BOTH)
    assert "No finding: 1 leaf" in text(capsys, "audit", *saved(t, tmp_path, lower(t)))


def test_a_check_that_checked_nothing_is_no_pass(capsys, tmp_path: Path) -> None:
    t = Tables(_next=0x4000_1000)
    t.map(0x1000, 0x8000_0000, AP=0b10, UXN=1, **BOTH)
    off = lower(t) | {"SCTLR_EL1": 0}
    assert "nothing was checked: the MMU is off" in refused(capsys, "audit", *saved(t, tmp_path, off))
    away = lower(t) | {"TTBR0_EL1": 0x7000_0000}
    assert "nothing was checked: the table at PA 0x70000000 cannot" in refused(
        capsys, "audit", *saved(t, tmp_path, away)
    )


def test_a_rule_that_cannot_be_asked_is_no_pass_by_itself(capsys, tmp_path: Path) -> None:
    """Two CPUs' mappings cannot differ where there is one, and no workflow is to take that for a pass."""
    t = Tables(_next=0x4000_1000)
    t.map(0x1000, 0x8000_0000, AP=0b10, UXN=1, **BOTH)
    words = ["--rule", "cpu-difference", *saved(t, tmp_path, lower(t))]
    for more in ([], ["--format", "github"], ["--format", "sarif"], ["--write-baseline", str(tmp_path / "new.json")]):
        assert "nothing was checked: cpu-difference: there are no two" in refused(capsys, "audit", *words, *more)
    assert not (tmp_path / "new.json").exists()


def test_the_kernel_s_space_is_audited_where_a_reduced_one_is_in_force(capsys, tmp_path: Path) -> None:
    guest = Isolated()
    guest.plant()
    source = saved(guest.lower, tmp_path, guest.at_el0())
    [found] = asked(capsys, "audit", *source, status=1)["findings"]
    assert int(found["first"], 16) == PLANTED
    assert "--with TTBR1_EL1=" in found["next"]
    assert "not the reduced one in force" in text(capsys, "audit", *source, status=1)
    linear = asked(capsys, "audit", *source, status=1)["linear_map"]
    assert linear is None or all(int(each["first"], 16) >= KERNEL for each in linear["extents"])


def test_a_kernel_s_space_that_is_not_proven_is_said_to_be_missed(capsys, tmp_path: Path) -> None:
    assert "limited TTBR1_EL1 leads to a reduced space" in text(
        capsys, "audit", "--ignore", "beyond-memory", *unproven(Isolated(), tmp_path)
    )


@pytest.mark.parametrize("rule", ["foreign-frame", "unrecorded-table"])
def test_a_rule_of_paravirtual_guests_is_refused_elsewhere(capsys, tmp_path: Path, rule: str) -> None:
    guest = Isolated()
    source = saved(guest.lower, tmp_path, guest.at_el0())
    assert f"--rule {rule} is of paravirtual guests" in refused(capsys, "audit", "--rule", rule, *source, status=2)
