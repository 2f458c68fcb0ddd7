"""What an answer from the command line imports: what it uses, and little else.  Counted, and not timed."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

from tests.places import ROOT

CAPTURE = "fixtures/captures/access-flag.core"
ESR, WALK = ("esr", "0x96000007"), ("walk", "0x1000", "-s", CAPTURE)
ONE_LINE = """
import contextlib, io, sys
from gdbtools.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    status = main(sys.argv[1:])
print(status, *sys.modules)
made = {
    each
    for name, module in sys.modules.items() if name.startswith("gdbtools")
    for each in vars(module).values()
    if isinstance(each, type) and "__dataclass_fields__" in vars(each) and each.__module__ == name
}
print(len(made))
"""


@cache
def answered(*words: str) -> tuple[list[str], int]:
    """Return what is imported when these words have been answered, and how many dataclasses of ours have been made."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_LINE, *words], capture_output=True, text=True, cwd=ROOT, check=True
    )
    status, *modules, classes = done.stdout.split()
    assert status in ("0", "1"), done.stderr
    return modules, int(classes)


def loaded(*words: str) -> list[str]:
    return answered(*words)[0]


def within(modules: list[str], *folders: str) -> list[str]:
    return [each for each in modules if each.startswith(tuple(f"{folder}." for folder in folders)) or each in folders]


@pytest.mark.parametrize(("words", "most"), [(ESR, 239), (WALK, 249)], ids=["esr", "walk"])
def test_an_answer_imports_so_many_modules_and_no_more(words: tuple[str, ...], most: int) -> None:
    """A tenth of these modules are declarations of commands; a dataclass in one takes half a millisecond.

    Each architecture is one, whose names are known before it is imported; what both of Arm's states have is in four.

    `walk` asks the systems that are known here: what they keep in an entry that refuses, and whether a guest runs whose
    tables hold another's frames.
    """
    ours = within(loaded(*words), "gdbtools")
    assert len(ours) <= most, ours


def test_a_value_is_decoded_without_what_opens_sources_or_changes_guests() -> None:
    unused = within(
        loaded(*ESR), "gdbtools.machine.dumps", "gdbtools.machine.live", "gdbtools.machine.sources", "gdbtools.repair",
        "elftools",
        "gdbtools.arch.aarch64.tables.live_change", "gdbtools.arch.aarch64.tables.table_heuristics",
    )  # fmt: skip
    assert unused == []


def test_a_capture_is_walked_without_the_other_formats_and_the_parts_that_it_does_not_ask() -> None:
    unused = within(
        loaded(*WALK), "gdbtools.machine.live", "gdbtools.machine.dumps.kdump", "gdbtools.machine.dumps.lime",
        "gdbtools.machine.dumps.raw", "gdbtools.repair", "gdbtools.arch.aarch64.exceptions.taken",
        "gdbtools.arch.aarch64.instructions.effects", "gdbtools.arch.aarch64.traps.deciders",
        "gdbtools.arch.aarch64.tables.table_heuristics",
    )  # fmt: skip
    assert unused == []


@pytest.mark.parametrize("words", [ESR, WALK], ids=["esr", "walk"])
def test_no_answer_as_text_needs_a_prompt_or_a_process(words: tuple[str, ...]) -> None:
    """Of what is slow to import: the widths of characters, prompts, processes, the network, mail."""
    slow = ("wcwidth", "pygdbmi", "prompt_toolkit", "subprocess", "socket", "email", "ctypes", "difflib")
    assert within(loaded(*words), *slow) == []


MAP = ("map", "-s", CAPTURE)


@pytest.mark.parametrize(
    ("words", "modules", "classes"), [(ESR, 192, 128), (WALK, 192, 121), (MAP, 190, 123)], ids=["esr", "walk", "map"]
)
def test_what_an_answer_makes_is_within_its_budget(words: tuple[str, ...], modules: int, classes: int) -> None:
    """A dataclass takes half a millisecond to make, as much as importing a module of a page."""
    loaded_modules, made = answered(*words)
    assert len(within(loaded_modules, "gdbtools")) <= modules
    assert made <= classes


def test_no_command_is_declared_that_is_not_asked() -> None:
    """But those that are listed before the one that has the name among its others."""
    declared = [each for each in loaded(*WALK) if each.endswith(".declared")]
    assert declared == ["gdbtools.commands.walk.declared"]
    assert [each.split(".")[2] for each in loaded(*ESR) if each.endswith(".declared")] == ["status", "regs", "syndrome"]
