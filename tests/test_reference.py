"""docs/commands.md is what the declarations make of it, and what it adds to them is so."""

from __future__ import annotations

import shlex

import pytest

from gdbtools.cli import SHARED
from gdbtools.commands import COMMANDS
from gdbtools.commands.model import never
from gdbtools.commands.parser import parser_for
from tests.reference import EXAMPLES, FINDINGS, PAGE, page


def test_the_page_in_the_tree_is_what_the_declarations_make() -> None:
    assert PAGE.read_text() == page(), "make docs, and look at the difference"


def test_every_command_and_each_of_its_arguments_is_on_it() -> None:
    for name, command in COMMANDS.items():
        section = page().partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert command.summary in section
        missing = [each.name for each in command.arguments if each.is_option and f"`{each.name}" not in section]
        assert missing == [], name
        assert ("Live only" in section) == command.live_only
        assert ("It only looks" in section) == command.only_looks


def test_what_exit_status_1_says_is_there_for_the_commands_that_have_findings() -> None:
    assert set(FINDINGS) == {name for name, each in COMMANDS.items() if each.implementation().finding is not never}


def test_every_command_has_an_example() -> None:
    assert list(EXAMPLES) == list(COMMANDS)


@pytest.mark.parametrize("example", [line for examples in EXAMPLES.values() for line, _ in examples])
def test_each_example_is_read_by_the_parser_of_its_command(example: str) -> None:
    face, name, *words = shlex.split(example)
    command = COMMANDS[name]
    assert example in {line for line, _ in EXAMPLES[command.name]}
    assert face == "mmu" or not command.live_only
    options = parser_for(command, face, SHARED if face == "gdbtools" else ()).parse_args(words)
    assert vars(options)
    assert all(len(said) < 60 and not said.endswith(".") for _, said in EXAMPLES[command.name])
