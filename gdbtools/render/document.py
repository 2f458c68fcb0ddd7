"""A document: what an answer says, before anybody decides how it looks.

A view makes one from a model; a renderer knows documents and roles, never page tables.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from gdbtools.render.drawing import Drawing


T = TypeVar("T")
Deferred = Callable[[], T]
"""What is made when it is needed: not every face shows it."""


class Role(enum.Enum):
    """What a piece of text is; colour follows from it, in the renderer."""

    PLAIN = enum.auto()
    HEADING = enum.auto()
    GOOD = enum.auto()
    BAD = enum.auto()
    WARNING = enum.auto()
    QUIET = enum.auto()
    NAME = enum.auto()
    COMMAND = enum.auto()
    COOL = enum.auto()
    WARM = enum.auto()
    HOT = enum.auto()


@dataclass(frozen=True)
class Span:
    """Text with a role."""

    text: str
    role: Role = Role.PLAIN


Text = str | Span | Sequence[str | Span]
"""What a line or a cell may be given as."""


def spans(text: Text) -> list[Span]:
    """Return the pieces of a text."""
    if isinstance(text, Span):
        return [text]
    if isinstance(text, str):
        return [Span(text)]
    return [each if isinstance(each, Span) else Span(each) for each in text]


def plain(text: Text) -> str:
    """Return a text without roles."""
    return text if isinstance(text, str) else "".join(span.text for span in spans(text))


def plains(texts: Iterable[Text]) -> list[str]:
    """Return texts without roles."""
    return [text if isinstance(text, str) else plain(text) for text in texts]


def reworded(text: Text, say: Callable[[str], str]) -> Text:
    """Return a text with each of its pieces as `say` has it."""
    if isinstance(text, str):
        return say(text)
    if isinstance(text, Span):
        return Span(say(text.text), text.role)
    return [Span(say(span.text), span.role) for span in spans(text)]


@dataclass(frozen=True)
class Line:
    """A sentence on a line of its own, wrapped to the width."""

    text: Text


OR = "or"
"""The name of a row that is another possibility: each has it."""


@dataclass(frozen=True)
class Facts:
    """Names with what is to be said of each, aligned; the second column wraps.

    A row without a name goes on with the one before it.  A name that several in a row have is there once, but for `OR`.
    """

    rows: Sequence[tuple[str, Text]]

    def __post_init__(self) -> None:
        rows: list[tuple[str, Text]] = []
        before = ""
        for name, text in self.rows:
            rows.append(("" if name == before != OR else name, text))
            before = name or before
        object.__setattr__(self, "rows", rows)

    @property
    def named(self) -> Sequence[tuple[str, Text]]:
        """The rows, each with the name that it belongs to."""
        found: list[tuple[str, Text]] = []
        for name, text in self.rows:
            found.append((name or (found[-1][0] if found else ""), text))
        return found


def labelled(label: str, texts: Iterable[Text]) -> list[tuple[str, Text]]:
    """Return rows of `Facts`, one for each text, of which the first has the label."""
    return [("" if at else label, text) for at, text in enumerate(texts)]


@dataclass(frozen=True)
class Table:
    """Rows under headers.  `right` are the columns that align to the right; the last column wraps.

    What may be done to columns, by their headers, on a screen that is too narrow for all: `spare` says what others say
    too, and is left out; `coded` has few values, and those are said once, below.  Where too little is left for the last
    column even so, the table is `stacked`: each last cell is on lines of its own, below its row.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[Text]]
    right: frozenset[int] = frozenset()
    spare: Sequence[str] = ()
    coded: Sequence[str] = ()
    stacked: bool = False


@dataclass(frozen=True)
class Picture:
    """Something that is drawn where that can be done, and `instead`, which says the same in words and numbers."""

    drawing: Drawing | Deferred[Drawing]
    instead: Sequence[Block]

    def drawn(self) -> Drawing:
        """Return what is to be drawn."""
        return self.drawing() if callable(self.drawing) else self.drawing


@dataclass(frozen=True)
class Section:
    """Blocks under a title of their own."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class HeatRow:
    """Stretches side by side, each so many bytes and so hot (0 to 1; None: nothing is there), between two texts."""

    label: Text
    stretches: Sequence[tuple[int, float | None]]
    after: Text = ""


@dataclass(frozen=True)
class Heat:
    """Rows to one scale; all stretches are of whole `unit`s.  `cold` and `hot` say what the ends of the heat mean."""

    rows: Sequence[HeatRow]
    unit: int
    cold: str
    hot: str


Block = Line | Facts | Table | Picture | Section | Heat


@dataclass(frozen=True)
class Document:
    """Blocks with an empty line between them; the answer comes first.  `title` is for a page of its own.

    `short`, where there is one, stands for all of `blocks` on a screen that they are too long for.
    """

    blocks: Sequence[Block]
    title: str = ""
    short: Sequence[Block] | Deferred[Sequence[Block]] = ()

    def in_short(self) -> Sequence[Block]:
        """Return the short form; nothing where it has none."""
        return self.short() if callable(self.short) else self.short

    def reworded(self, say: Callable[[str], str]) -> Document:
        """Return it with each piece of its sentences, facts and tables as `say` has it."""
        whole, short = ([_reworded(each, say) for each in blocks] for blocks in (self.blocks, self.in_short()))
        return replace(self, blocks=whole, short=short)


def _reworded(block: Block, say: Callable[[str], str]) -> Block:
    if isinstance(block, Line):
        return Line(reworded(block.text, say))
    if isinstance(block, Facts):
        return Facts([(name, reworded(text, say)) for name, text in block.rows])
    if isinstance(block, Table):
        return replace(block, rows=[[reworded(cell, say) for cell in row] for row in block.rows])
    if isinstance(block, Section):
        return replace(block, blocks=[_reworded(each, say) for each in block.blocks])
    return block


def gathered(documents: Sequence[Document], label: str, more: Sequence[str]) -> list[Document]:
    """Return documents and one more, which has all that they say under a label, and `more`, each once."""
    said: dict[str, Text] = {}
    kept = [replace(each, blocks=_parted(each.blocks, label, said)) for each in documents]
    texts = [*said.values(), *(each for each in more if each not in said)]
    return [*kept, Document([Facts(labelled(label, texts))])]


def _parted(blocks: Sequence[Block], label: str, said: dict[str, Text]) -> list[Block]:
    """Return blocks without what is said under a label, which is put into `said` by how it reads."""
    left: list[Block] = []
    for block in blocks:
        if isinstance(block, Facts):
            rows: list[tuple[str, Text]] = []
            for name, text in block.named:
                if name == label:
                    said.setdefault(plain(text), text)
                else:
                    rows.append((name, text))
            left += [Facts(rows)] if rows else []
        elif isinstance(block, Section):
            left.append(replace(block, blocks=_parted(block.blocks, label, said)))
        elif isinstance(block, Picture):
            left.append(replace(block, instead=_parted(block.instead, label, said)))
        else:
            left.append(block)
    return left
