"""What the declarations say without importing what answers them is what that says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gdbtools.analysis.comparison.compared_attributes import Aspect
from gdbtools.arch import ARCHITECTURES
from gdbtools.commands import COMMANDS
from gdbtools.commands.declared.shared import IGNORABLE, REGIMES, SERVICED
from gdbtools.commands.diff import REGISTERS
from gdbtools.commands.model import Implementation
from gdbtools.repair.service import KINDS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_implemented_in_the_file_of_its_name(name: str) -> None:
    implementation = COMMANDS[name].implementation()
    assert isinstance(implementation, Implementation)
    assert implementation.run.__module__ == f"gdbtools.commands.{name.replace('-', '_')}"


def test_the_choices_are_those_that_there_are() -> None:
    assert IGNORABLE == (*(each.value for each in Aspect), REGISTERS)
    assert set(SERVICED) == set(KINDS)
    assert REGIMES == tuple(dict.fromkeys(name for each in ARCHITECTURES.values() for name in each.regime_names))


def test_to_know_the_commands_imports_nothing_of_what_answers_them() -> None:
    program = "import sys, gdbtools.commands; print(*(name for name in sys.modules if name.startswith('gdbtools.')))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {name.split(".")[1] for name in loaded} == {"commands"}
    assert not {f"gdbtools.commands.{name.replace('-', '_')}" for name in COMMANDS} & set(loaded)
