"""Whose a line is, and where its answer goes."""

from __future__ import annotations

import re

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.commands import COMMANDS
from gdbtools.errors import UsageError
from gdbtools.repl.command_line import (
    RUNS,
    SHADOWED,
    ForGdb,
    Outlet,
    Own,
    Question,
    behind,
    first_word,
    open_blocks,
    read,
    repeated,
)


def question(text: str) -> Question:
    found = read(text)
    assert isinstance(found, Question), found
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_ours_with_and_without_mmu_before_it(name: str) -> None:
    assert question(name).command is COMMANDS[name]
    assert question(f"  mmu  {name} --json") == Question(COMMANDS[name], ("--json",))


@pytest.mark.parametrize(
    "text",
    ["break main", "x/4i $pc", "info threads", "bt", "p a | b", "p a > b", "mmu nosuch", "help x", "set mmu-dirty dbm"],
)
def test_what_is_not_ours_goes_to_gdb_as_it_is(text: str) -> None:
    assert read(text) == ForGdb(text)


def test_a_name_that_is_ours_goes_to_gdb_if_that_is_said() -> None:
    assert read("gdb watch *(int *)0x10") == ForGdb("watch *(int *)0x10")


@pytest.mark.parametrize("text", ["", "   ", "# map", "\n"])
def test_nothing_is_asked_by_an_empty_line_or_a_comment(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("quit", Own("quit", ())),
        ("q", Own("quit", ())),
        ("exit", Own("quit", ())),
        ("help", Own("help", ())),
        ("?", Own("help", ())),
        ("help walk", Own("help", ("walk",))),
        ("help mmu walk", Own("help", ("mmu", "walk"))),
        ("cpu 1", Own("cpu", ("1",))),
        ("reconnect", Own("reconnect", ())),
    ],
)
def test_the_prompt_has_words_of_its_own(text: str, request_: Own) -> None:
    assert read(text) == request_


@pytest.mark.parametrize(
    ("text", "words", "outlet"),
    [
        ("map | grep rw", (), Outlet("|", "grep rw")),
        ("map |grep rw | wc -l", (), Outlet("|", "grep rw | wc -l")),
        ("map --json > a file", ("--json",), Outlet(">", "a file")),
        ("map >> f", (), Outlet(">>", "f")),
        ("walk 'a > b' >f", ("a > b",), Outlet(">", "f")),
        ('walk "a | b"', ("a | b",), None),
        ("walk a|b", ("a|b",), None),
        ("walk $x0>>1", ("$x0>>1",), None),
    ],
)
def test_an_answer_goes_where_the_line_says(text: str, words: tuple[str, ...], outlet: Outlet | None) -> None:
    found = question(text)
    assert (found.words, found.outlet) == (words, outlet)


@pytest.mark.parametrize("text", ["map |", "map >", "map >>  ", 'walk "a', "walk 'a"])
def test_what_is_half_written_is_said_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as error:
        read(text)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("commands 1", 1),
        ("commands 1\nsilent\nend", 0),
        ("define f\nif $x\nend", 1),
        ("define f\nif $x\nend\nend", 0),
        ("python", 1),
        ("python print(1)", 0),
        ("py\nif x:\n    end = 1\nend", 0),
        ("break main", 0),
        ("# commands", 0),
        ("info commands", 0),
    ],
)
def test_a_block_goes_on_to_its_end(text: str, depth: int) -> None:
    assert open_blocks(text) == depth


@pytest.mark.parametrize(
    ("text", "again"),
    [("stepi", "stepi"), ("stepi 3", "stepi 3"), ("c", "c"), ("x/4i $pc", "x"), ("list main", "list"), ("map", ""),
     ("info threads", ""), ("", ""), ("delete", "")],
)  # fmt: skip
def test_an_empty_line_repeats_what_gdb_would_repeat(text: str, again: str) -> None:
    assert repeated(text) == again


def test_a_command_that_runs_the_guest_is_told_to_do_so_behind_the_prompt() -> None:
    assert behind("continue 3") == "continue 3 &"
    assert behind("continue&") == "continue&"
    assert behind("continue & ") == "continue &"
    assert first_word("continue&") == "continue"
    assert ForGdb("continue&").runs
    assert not ForGdb("info line").runs


def test_the_commands_that_gdb_also_has_are_known(gdb_path: str) -> None:
    with Gdb(gdb_path) as gdb:
        also = {name for name in COMMANDS if not re.search("Undefined command", gdb.run(name).error)}
    assert also == SHADOWED


def test_the_commands_that_run_a_guest_take_an_ampersand(gdb_path: str) -> None:
    with Gdb(gdb_path) as gdb:
        for name in sorted(RUNS):
            said = gdb.run(f"{name} &").error
            # It wants a guest first, or a place to go to; never has it anything against the ampersand.
            assert re.search(r"not being run|not support|not currently supported|[Aa]rgument", said), (name, said)
