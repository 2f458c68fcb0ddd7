"""README says what is true: its command table is derived from the declarations, its transcripts from the fixtures."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest

from gdbtools.analysis.faults.diagnosis import Verdict
from gdbtools.cli import main
from gdbtools.commands import COMMANDS
from gdbtools.commands.parser import summary_usage
from tests.places import ROOT

README = (ROOT / "README.md").read_text()


def command_table() -> str:
    rows = ["| command | what it does | live | on a dump |", "|---|---|---|---|"]
    for command in COMMANDS.values():
        words = summary_usage(command).replace("|", "\\|")
        offline = "" if command.live_only else "`gdbtools`"
        rows.append(f"| `{words}` | {command.summary} | `mmu` | {offline} |")
    return "\n".join(rows)


def test_the_command_table_is_the_declarations() -> None:
    assert command_table() in README, f"README.md should hold this table:\n{command_table()}"


def test_the_transcript_of_the_fault_is_what_the_command_prints(capsys) -> None:
    guest = ROOT / "fixtures/guests/access_flag/access_flag.elf"
    assert main(["fault", "-s", str(ROOT / "fixtures/captures/access-flag.core"), "--elf", str(guest)]) == 1
    printed = capsys.readouterr().out.strip()
    # What comes next is said where there is a guest to do it to.
    shown = README.replace("\nnext          mmu fixup --resume\n", "\n", 1)
    assert printed in shown, "the README's transcript of `mmu fault` is not what it prints now"


SHELL = "$ "
TYPED = (SHELL, "(gdb) ", "(gdbtools) ")
NEEDS_A_GUEST = frozenset({"attach", "demo", "mcp", "open", "run"})
OF_A_GUEST = ("find-roots -s ram.bin@0x40000000 --write registers.json",)
"""What is shown of a file that is too large to be here; tests/guests/test_find_roots.py makes such ones."""


@dataclass(frozen=True)
class Transcript:
    """A command of a shell's, and the lines that README shows below it."""

    words: tuple[str, ...]
    shown: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)

    @property
    def pieces(self) -> list[str]:
        """What stands between `...`: each has to be printed, in this order, the first at the beginning."""
        return ["\n".join(each) for each in _split(self.shown) if any(each)]

    @property
    def ends(self) -> bool:
        """Whether README shows the end of what is printed."""
        return self.shown[-1] != "..."


def _split(lines: tuple[str, ...]) -> Iterator[list[str]]:
    piece: list[str] = []
    for line in lines:
        if line == "...":
            yield piece
            piece = []
        else:
            piece.append(line)
    yield piece


def transcripts(page: str) -> list[Transcript]:
    """Return every `$ gdbtools` that has something below it, of commands that a file can answer."""
    found = []
    for block in re.findall(r"(?ms)^```\n(.*?)^```", page.replace("\\\n", "")):
        lines = block.splitlines()
        starts = [at for at, line in enumerate(lines) if line.startswith(TYPED)]
        for at, end in pairwise([*starts, len(lines)]):
            words = shlex.split(lines[at].removeprefix(SHELL), comments=True) if lines[at].startswith(SHELL) else [""]
            shown = tuple("\n".join(lines[at + 1 : end]).strip("\n").splitlines())
            if words[0] == "gdbtools" and words[1] not in NEEDS_A_GUEST and shown:
                found.append(Transcript(tuple(words[1:]), shown))
    return found


OFFLINE = [each for each in transcripts(README) if str(each) not in OF_A_GUEST]


@pytest.mark.parametrize("transcript", OFFLINE, ids=str)
def test_each_transcript_of_the_shell_is_what_the_command_prints_now(
    transcript: Transcript, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main([*transcript.words]) in (0, 1)
    printed = capsys.readouterr().out.strip("\n")
    assert printed.startswith(transcript.pieces[0])
    rest = printed
    for piece in transcript.pieces:
        _, shown, rest = rest.partition(piece)
        assert shown, f"README shows of `gdbtools {transcript}`:\n{piece}\nand it prints:\n{printed}"
    assert bool(rest) != transcript.ends, f"README ends otherwise than:\n{printed}"


def test_what_is_compared_is_what_there_is() -> None:
    """Every command that only looks at a file and is shown with its answer: none is lost by how the page is written."""
    assert {each.words[0] for each in OFFLINE} == {"esr", "fault", "find-roots", "map", "regs", "status", "walk"}
    assert [str(each) for each in transcripts(README) if each not in OFFLINE] == [*OF_A_GUEST]
    sources = {word for each in OFFLINE for word in each.words if word.startswith("fixtures/")}
    assert all((ROOT / source).is_file() for source in sources)


def test_a_transcript_ends_where_the_next_command_begins() -> None:
    page = "```\n$ gdbtools esr 1    # why\nfirst\n\nsecond\n...\n\n(gdb) mmu walk 0\nthird\n```\n"
    assert transcripts(page) == [Transcript(("esr", "1"), ("first", "", "second", "..."))]


def test_the_tutorial_and_what_there_is_without_a_guest_are_named_before_the_first_transcript() -> None:
    top = README.partition("\n## ")[0]
    assert "(docs/tutorial.md)" in top
    assert "(#without-a-guest)" in top
    assert (ROOT / "docs/tutorial.md").is_file()
    assert "\n## Without a guest\n" in README


def test_the_readme_names_the_two_commands() -> None:
    assert "make demo" in README
    assert "make test" in README


def test_the_verdicts_are_those_of_json() -> None:
    _, _, section = README.partition("\n## The verdicts\n")
    table = section.partition("\n| verdict |")[2].partition("\n\n")[0].splitlines()[2:]
    said = [line.split(" | ")[1] for line in table]
    assert said == [f"`{verdict.label}`" for verdict in Verdict]
