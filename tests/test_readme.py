"""README is one screen: what it is, one transcript, how to install, five tasks, and where to read on."""

from __future__ import annotations

import re

from gdbtools.commands import COMMANDS
from tests.places import ROOT
from tests.transcripts import blocks_of

README = (ROOT / "README.md").read_text()


def test_it_is_one_screen() -> None:
    assert len(README.splitlines()) <= 75
    assert max(map(len, README.splitlines())) <= 132
    shown = [each for block in blocks_of(README) for each in block.transcripts]
    assert [each.command for each in shown] == ["gdbtools fault -s fixtures/captures/osv-1131.core"]


def test_it_names_the_two_commands() -> None:
    rules = (ROOT / "Makefile").read_text()
    for command in ("demo", "test"):
        assert f"\nmake {command} " in README
        assert f"\n{command}:" in rules


def test_its_five_tasks_are_asked_of_commands_that_there_are() -> None:
    _, _, section = README.partition("\n## Five tasks\n")
    rows = section.partition("\n\n## ")[0].splitlines()[3:]
    assert len(rows) == 5
    for row in rows:
        asked = re.findall(r"`(?:mmu|gdbtools) ([\w-]+)", row)
        assert asked, row
        assert set(asked) <= set(COMMANDS), row


def test_what_stands_where_is_said_before_anything_else() -> None:
    top = README.partition("\n## ")[0]
    assert "\nmake demo" in top
    for page in ("tutorial", "commands", "json", "formats", "verdicts", "repair", "validation", "architecture"):
        assert f"(docs/{page}.md)" in README
