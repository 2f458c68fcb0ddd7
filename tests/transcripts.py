"""The transcripts that README and docs/ show, and how what is printed is held against them.

What a file can answer (`$ gdbtools ...`, with lines below it) is typed again by tests/test_docs.py.  A block of a guest
has a mark before it, `<!-- transcript: NAME -->`, and one test that asks for it by `marked(NAME)` and types it again.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.places import ROOT

PAGES = {str(path.relative_to(ROOT)): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
SHELL = "$ "
GUEST_PROMPTS = ("(gdb) ", "(gdbtools) ")
TYPED = (SHELL, *GUEST_PROMPTS)
LEFT_OUT = "..."
"""Stands for lines that a page does not show."""
_BLOCK = re.compile(r"(?ms)(?:^<!-- transcript: ([\w-]+) -->\n)?^```(\w*)\n(.*?)^```$")


@dataclass(frozen=True)
class Transcript:
    """A line that was typed, and the lines that a page shows below it."""

    typed: str
    shown: tuple[str, ...]

    def __str__(self) -> str:
        return self.typed

    @property
    def command(self) -> str:
        """The line without its prompt."""
        return next(self.typed.removeprefix(prompt) for prompt in TYPED if self.typed.startswith(prompt))

    @property
    def words(self) -> list[str]:
        """The words of a shell's line, without its comment."""
        return shlex.split(self.command, comments=True)

    @property
    def pieces(self) -> list[str]:
        """What stands between `...`: each has to be printed, in this order."""
        return ["\n".join(each) for each in _split(self.shown) if any(each)]

    @property
    def begins(self) -> bool:
        """Whether the page shows the beginning of what is printed."""
        return bool(self.shown) and self.shown[0] != LEFT_OUT

    @property
    def ends(self) -> bool:
        """Whether the page shows the end of what is printed."""
        return bool(self.shown) and self.shown[-1] != LEFT_OUT


@dataclass(frozen=True)
class Block:
    """A block of a page; `mark` names the test that types it again, and is empty where a file answers it."""

    page: str
    mark: str
    text: str

    @property
    def transcripts(self) -> list[Transcript]:
        lines = self.text.replace("\\\n", "").splitlines()
        starts = [at for at, line in enumerate(lines) if line.startswith(TYPED)]
        return [
            Transcript(lines[at], tuple("\n".join(lines[at + 1 : end]).strip("\n").splitlines()))
            for at, end in pairwise([*starts, len(lines)])
        ]


def _split(lines: tuple[str, ...]) -> Iterator[list[str]]:
    piece: list[str] = []
    for line in lines:
        if line == LEFT_OUT:
            yield piece
            piece = []
        else:
            piece.append(line)
    yield piece


def blocks_of(text: str, page: str = "") -> list[Block]:
    """Return every block of a page, in order."""
    return [Block(page, mark, block) for mark, language, block in _BLOCK.findall(text) if not language]


def blocks() -> list[Block]:
    """Return every block of README and docs/."""
    return [block for name, path in PAGES.items() for block in blocks_of(path.read_text(), name)]


def marked(name: str) -> list[Transcript]:
    """Return the transcripts of the block with that mark."""
    (block,) = [block for block in blocks() if block.mark == name]
    return block.transcripts


def tidy(text: str) -> str:
    """Return what was printed as a page has it: nothing at the end of a line, no empty lines around it."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def timeless(text: str) -> str:
    """Return text without decimal numbers, which are another run's, and where its lines are broken."""
    return " ".join(re.sub(r"(?<![\w.])\d+(\.\d+)?(?!\w)", "N", text).split())


def numberless(text: str) -> str:
    """Return text without any number, which are another guest's, and where its lines are broken."""
    return " ".join(re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "N", text).split())


def as_it_is(text: str) -> str:
    return text


def compare(printed: str, transcript: Transcript, seen: Callable[[str], str] = as_it_is) -> None:
    """Hold what was printed against what a page shows; `seen` leaves out of both what may differ."""
    pieces: Sequence[str] = [seen(piece) for piece in transcript.pieces]
    rest = whole = seen(tidy(printed))
    assert not transcript.begins or whole.startswith(pieces[0]), message(transcript, pieces[0], whole)
    for piece in pieces:
        _, found, rest = rest.partition(piece)
        assert found, message(transcript, piece, whole)
    assert not transcript.ends or not rest.strip(), message(transcript, "nothing more", whole)


def message(transcript: Transcript, piece: str, printed: str) -> str:
    """Return what to look at where a page is not what is printed."""
    return f"the page shows of `{transcript}`:\n{piece}\nand it prints:\n{printed}"
