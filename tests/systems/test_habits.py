"""What operating systems make of the bits that are software's own: known in their folders, and asked for elsewhere."""

from __future__ import annotations

import re

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.systems import dirty_conventions, flag_habits
from tests.places import ROOT
from tests.toy import TOY

ARM = ARCHITECTURES["aarch64"]


@pytest.mark.parametrize(("preset", "system"), [("linux", "Linux"), ("osv", "OSv")])
def test_a_preset_sets_the_convention_that_its_system_is_known_for(preset: str, system: str) -> None:
    found = re.search(r"^set mmu-dirty (\w+)$", (ROOT / f"gdbinit.d/{preset}.gdb").read_text(), re.MULTILINE)
    assert found is not None
    assert dirty_conventions(ARM)[system].value == found[1]


def test_the_setting_s_help_names_who_uses_which() -> None:
    said = (ROOT / "gdbtools/live/settings.py").read_text()
    for system, convention in dirty_conventions(ARM).items():
        assert re.search(rf"{system}[\w ]* use {convention.value}", said)


def test_who_sets_a_flag_again_is_each_systems_habit() -> None:
    assert flag_habits(ARM, True) == "Linux has a handler for user addresses, and dies of a kernel's"
    assert flag_habits(ARM, False) == "Linux has a handler for user addresses, OSv of before 2023 has none"


def test_where_no_system_is_known_nothing_is_said() -> None:
    assert (dirty_conventions(TOY), flag_habits(TOY, True)) == ({}, "")


def test_no_repair_names_a_system() -> None:
    """Nor does a command that shows one: their habits are asked for."""
    for folder in ("repair", "commands/clear_af", "commands/fixup", "commands/pte"):
        for path in (ROOT / "gdbtools" / folder).glob("*.py"):
            assert not re.search(r"\b(Linux|OSv|Xen)\b", path.read_text()), path
