"""A command is a frozen value; every face derives its parser, completion, help and output from it."""

from __future__ import annotations

import enum
import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdbtools.addresses import Input
    from gdbtools.commands.session import Session
    from gdbtools.render.document import Document
    from gdbtools.render.json import JsonObject


class Kind(enum.Enum):
    """How the words of an argument are read."""

    ADDRESS = enum.auto()
    """An expression that the face evaluates to an unsigned 64-bit integer.

    One that is a number by itself does not come to the face: `gdbtools.numbers`.
    """
    WORD = enum.auto()
    """What a register holds: an expression, or digits, which are hexadecimal."""
    NUMBER = enum.auto()
    LEVEL = enum.auto()
    """A level of the tables, as the architecture numbers them: a number, which may be below 0."""
    SECONDS = enum.auto()
    """A length of time, in seconds; becomes a float."""
    CHOICE = enum.auto()
    TEXT = enum.auto()
    FILE = enum.auto()
    """Text that names a file."""
    REGISTER = enum.auto()
    """Text that names a register."""
    FLAG = enum.auto()
    RANGE = enum.auto()
    """`FIRST,END` or `FIRST-END` (END not included), `FIRST,+SIZE`, or one address; becomes (first, size in bytes).

    A size may have a unit: `64K`.
    """
    REGISTER_CHANGE = enum.auto()
    """`REGISTER.FIELD=VALUE` or `REGISTER=VALUE`; becomes a `RegisterChange`."""
    DESCRIPTOR_CHANGE = enum.auto()
    """`ADDRESS.FIELD=VALUE`; becomes a `DescriptorChange`."""
    FIELD_CHANGE = enum.auto()
    """`FIELD=VALUE`; becomes (field, value)."""
    SCOPE = enum.auto()
    """An address, `asid=N` or `all`; becomes a `Scope`."""


@dataclass(frozen=True)
class RegisterChange:
    """A register, or one field of it (None: all of it), that is to be taken for something else."""

    register: str
    field: str | None
    value: int


@dataclass(frozen=True)
class DescriptorChange:
    """A field of the leaf that translates an address, to be taken for something else."""

    address: Input
    field: str
    value: int


@dataclass(frozen=True)
class Argument:
    """One argument of a command.

    A name that starts with dashes is an option.  `many` is argparse's nargs for a positional: "" (one), "?", "*", "+";
    for an option "*" says that it may be given again.
    """

    name: str
    help: str
    kind: Kind = Kind.TEXT
    choices: tuple[str, ...] = ()
    many: str = ""
    dashes: bool = False
    """Whether the value of an option may itself begin with dashes."""
    alone: Kind | None = None
    """How it is read where no further positional is given, if that is otherwise."""
    metavar: str = ""
    """What stands for its value in help, where its name and its kind do not say it."""
    writes: bool = False
    """Whether it names a file that is written."""
    reads: bool = False
    """Whether it names a file that is read, or a source."""
    listed_by: str = ""
    """The option of the same command that lists its choices, where they are too many for one line."""
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The choices by whose they are, where that is not one and the same."""

    @property
    def key(self) -> str:
        """What its value is called among the options."""
        return self.name.lstrip("-").replace("-", "_")

    @property
    def field(self) -> str:
        """The field of a command's `Options` that has its value."""
        return f"{self.key}_" if keyword.iskeyword(self.key) else self.key

    @property
    def is_option(self) -> bool:
        return self.name.startswith("--")


def never(given: Any) -> bool:  # noqa: ARG001
    """Whatever is given: no."""
    return False


@dataclass(frozen=True)
class Implementation:
    """What answers a command.

    `options` is the class of what it is asked: a field for each argument.  `run` computes answers and never prints.
    `view` makes a document of an answer, `record` the JSON object; `finding` says whether it is a fault or a finding
    (exit status 1).  `sourceless` says whether what is asked needs no source at all.
    """

    options: Callable[..., Any]
    run: Callable[[Session, Any], Sequence[Any]]
    view: Callable[[Any], Document]
    record: Callable[[Any], JsonObject]
    finding: Callable[[Any], bool] = never
    sourceless: Callable[[Any], bool] = never
    documents: Callable[[Sequence[Any]], Sequence[Document]] | None = None
    """What shows all answers of one question, where that is more than each by itself."""
    forms: Mapping[str, Callable[[Sequence[Any]], str]] = field(default_factory=dict)
    """What writes all answers in a form of others, by the name that `--format` has for it."""


def loaded(name: str) -> Callable[[], Implementation]:
    """Return what imports a command's own folder when it is first asked: `Options`, `run`, `view` and `record`, and
    what it may have besides, `finding`, `sourceless`, `documents` and `FORMS`.
    """

    def implementation() -> Implementation:
        running = import_module(f"gdbtools.commands.{name}.run")
        showing = import_module(f"gdbtools.commands.{name}.view")
        return Implementation(
            running.Options,
            running.run,
            showing.view,
            showing.record,
            getattr(running, "finding", never),
            getattr(running, "sourceless", never),
            getattr(showing, "documents", None),
            getattr(showing, "FORMS", {}),
        )

    return cache(implementation)


@dataclass(frozen=True)
class Command:
    """A question a user can ask, as every face declares it; what answers it is imported when it is first asked.

    `may_be_sourceless` ones need no source with some options, and then `decodes` says whether they have to know whose
    the values are that they are given.  `live_only` commands need a running guest; those that change it say so in
    `changes_guest`, those that let it run before they answer in `runs_guest`, and those that leave breakpoints in it in
    `sets_breakpoints`.
    """

    name: str
    summary: str
    description: str
    arguments: tuple[Argument, ...]
    implementation: Callable[[], Implementation]
    may_be_sourceless: bool = False
    decodes: bool = True
    of_text: bool = False
    """Whether what it looks at without a source says itself whose it is, so that nobody else may."""
    live_only: bool = False
    changes_guest: bool = False
    runs_guest: bool = False
    sets_breakpoints: bool = False
    aliases: tuple[str, ...] = ()
    """Other names that it is found by, in every face; answers have the first."""
    withheld: tuple[Argument, ...] = ()
    """Options that whoever asks may not give, and that count as not given."""

    @property
    def only_looks(self) -> bool:
        """Whether it leaves everything as it is: the guest, GDB's breakpoints, the user's files."""
        acts = self.changes_guest or self.runs_guest or self.sets_breakpoints
        return not acts and not any(argument.writes for argument in self.arguments)

    def looking(self) -> Command | None:
        """Return the command without what it may write besides; None where it does nothing else than to act."""
        withheld = tuple(each for each in self.arguments if each.writes and each.is_option)
        left = tuple(each for each in self.arguments if each not in withheld)
        looking = replace(self, arguments=left, withheld=withheld)
        return looking if looking.only_looks else None

    def options(self, values: Mapping[str, Any]) -> Any:
        """Return what is asked, as the command's own `Options`, of values by `Argument.key`: others are no matter."""
        arguments = (*self.arguments, *self.withheld)
        return self.implementation().options(**{each.field: values[each.key] for each in arguments})

    def sourceless(self, options: Any) -> bool:
        """Return whether what is asked needs no source at all."""
        return self.may_be_sourceless and self.implementation().sourceless(options)

    def run(self, session: Session, options: Any) -> Sequence[Any]:
        return self.implementation().run(session, options)

    def view(self, answer: Any) -> Document:
        return self.implementation().view(answer)

    def documents(self, answers: Sequence[Any]) -> list[Document]:
        """Show every answer of one question, in order."""
        together = self.implementation().documents
        return [self.view(answer) for answer in answers] if together is None else list(together(answers))

    def formatted(self, form: str, answers: Sequence[Any]) -> str:
        """Write every answer of one question in a form of others."""
        return self.implementation().forms[form](answers)

    def record(self, answer: Any) -> JsonObject:
        return self.implementation().record(answer)

    def finding(self, answer: Any) -> bool:
        return self.implementation().finding(answer)
