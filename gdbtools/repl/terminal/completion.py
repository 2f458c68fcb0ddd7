"""What may stand at the cursor, and what a word means that stands there: from the commands' declarations."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document as Typed

from gdbtools.arch.capabilities import Architecture
from gdbtools.bits import Field
from gdbtools.commands import COMMANDS
from gdbtools.commands.model import Argument, Command, Kind
from gdbtools.commands.parser import complete, summary_usage
from gdbtools.repl.command_line import GDB, OWN, PREFIX
from gdbtools.repl.session import SHARED, PromptSubject

_OUTLET = re.compile(r"\s[|>]")
_SYMBOL = re.compile(r"&?([A-Za-z_][\w.$]+)$")
_CPU_COMMANDS = ("cpu", "thread")
MOST_SYMBOLS = 50


@dataclass(frozen=True)
class At:
    """The cursor in a command of ours: the words before, and the one that it is in."""

    command: Command
    words: Sequence[str]
    word: str

    @property
    def options(self) -> Mapping[str, Argument]:
        """The command's options by their names, and those that every command has."""
        return {each.name: each for each in (*self.command.arguments, *SHARED) if each.is_option}

    @property
    def argument(self) -> Argument | None:
        """The argument that the word is a value of; None for an option's name, and where there is none."""
        by_name = self.options
        before = by_name.get(self.words[-1]) if self.words else None
        if before is not None and before.kind is not Kind.FLAG:
            return before
        positional = [each for each in self.command.arguments if not each.is_option]
        if self.word.startswith("-") or not positional:
            return None
        given = len([word for word in self._values() if not word.startswith("-")])
        if given < len(positional):
            return positional[given]
        return positional[-1] if positional[-1].many in ("*", "+") else None

    def _values(self) -> Iterator[str]:
        """Yield the words that are no value of an option."""
        by_name = self.options
        for number, word in enumerate(self.words):
            before = by_name.get(self.words[number - 1]) if number else None
            if before is None or before.kind is Kind.FLAG:
                yield word


def at(line: str) -> At | None:
    """Return where in a command of ours the cursor at the end of a line is; None where it is in none."""
    rest = line.lstrip()
    rest = rest.removeprefix(f"{PREFIX} ").lstrip() if rest.startswith(f"{PREFIX} ") else rest
    name, space, arguments = rest.partition(" ")
    if name not in COMMANDS or not space or _OUTLET.search(arguments):
        return None
    *words, word = arguments.split(" ")
    return At(COMMANDS[name], [each for each in words if each], word)


def hint(line: str) -> str:
    """Explain what is being typed, in a line; empty where nothing is known of it."""
    name = line.split()[0] if line.split() else ""
    cursor = at(line)
    if cursor is not None:
        argument = cursor.options.get(cursor.word) or cursor.argument
        if argument is not None:
            choices = f" ({', '.join(argument.choices)})" if argument.choices else ""
            what = argument.name if argument.is_option else argument.name.upper()
            return f"{cursor.command.name} {what}: {argument.help}{choices}"
    if name in COMMANDS:
        return f"{summary_usage(COMMANDS[name])}: {COMMANDS[name].summary}"
    if name in OWN:
        return f"{name}: {OWN[name]}"
    return ""


class WordCompleter(Completer):
    """Completion for the prompt: ours at once, GDB's when it answers; typing never waits for either."""

    def __init__(self, session: PromptSubject) -> None:
        self._session = session
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Typed, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        return ()

    async def get_completions_async(
        self, document: Typed, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        line = document.text_before_cursor
        if "\n" in line or not line.strip():
            return
        outlet = _OUTLET.search(line)
        if outlet and at(line[: outlet.start() + 1]):
            for each in self._files(line.rpartition(" ")[2], complete_event) if ">" in outlet.group() else ():
                yield each
            return
        cursor = at(line)
        if cursor is not None:
            for each in (*self._declared(cursor), *self._known(cursor, complete_event)):
                yield each
            async for each in self._symbols(cursor):
                yield each
            return
        for each in _first_words(line) if " " not in line.lstrip() else self._own(line):
            yield each
        async for each in self._of_gdb(line):
            yield each

    def _declared(self, cursor: At) -> Iterator[Completion]:
        """Options, choices and their help."""
        by_name = cursor.options
        for found in complete(cursor.command, cursor.words, cursor.word, SHARED):
            if found.startswith("-") == cursor.word.startswith("-") or not cursor.word:
                yield _completion(found, cursor.word, by_name[found].help if found in by_name else "")

    def _known(self, cursor: At, event: CompleteEvent) -> Iterator[Completion]:
        """Values that the kind of an argument has: registers, fields, files."""
        argument = cursor.argument
        kinds: Mapping[Kind, Callable[[], Iterator[Completion]]] = {
            Kind.REGISTER: lambda: self._registers(cursor.word),
            Kind.REGISTER_CHANGE: lambda: self._register_change(cursor.word),
            Kind.FIELD_CHANGE: lambda: _field_change(leaf_fields(self._session.architecture), cursor.word, ""),
            Kind.DESCRIPTOR_CHANGE: lambda: self._descriptor_change(cursor.word),
            Kind.FILE: lambda: self._files(cursor.word, event),
            Kind.SCOPE: lambda: iter(_matching(("all", "asid="), cursor.word, "")),
        }
        if argument is not None and argument.kind in kinds:
            yield from kinds[argument.kind]()
        if (
            argument is not None
            and argument.kind in (Kind.ADDRESS, Kind.WORD, Kind.RANGE)
            and cursor.word.startswith("$")
        ):
            found = self._session.architecture
            names = dict.fromkeys((found.pc, *found.general, *found.principal))
            yield from _matching([f"${name}" for name in names if self._is_there(name)], cursor.word, "register")

    def _is_there(self, name: str) -> bool:
        """Return whether the guest or the source has a register; where that is not known, it is offered."""
        known = self._session.registers
        return known is None or name in known

    def _registers(self, word: str, supposed: bool = False) -> Iterator[Completion]:
        """Complete a register's name; one that is only `supposed` need not be there."""
        wanted = word.upper()
        for name in self._session.architecture.registers:
            if name.upper().startswith(wanted) and (supposed or self._is_there(name)):
                yield _completion(name, word, "")

    def _register_change(self, word: str) -> Iterator[Completion]:
        name, dot, field = word.partition(".")
        if not dot:
            for each in self._registers(word, supposed=True):
                yield Completion(f"{each.text}.", each.start_position, each.text)
            return
        registers = self._session.architecture.registers
        found = registers.get(name) or registers.get(name.upper())
        if found is not None:
            yield from _field_change({each.name: each for each in found.fields()}, field, f"{name}.")

    def _descriptor_change(self, word: str) -> Iterator[Completion]:
        address, dot, field = word.rpartition(".")
        if dot:
            yield from _field_change(leaf_fields(self._session.architecture), field, f"{address}.")

    def _files(self, word: str, event: CompleteEvent) -> Iterator[Completion]:
        yield from self._paths.get_completions(Typed(word), event)

    def _own(self, line: str) -> Iterator[Completion]:
        name, _, word = line.lstrip().partition(" ")
        if name == "help":
            yield from (
                _completion(each, word, COMMANDS[each].summary) for each in COMMANDS.spellings if each.startswith(word)
            )
        elif name == PREFIX:
            yield from (each for each in _first_words(word) if each.text in COMMANDS)
        elif name in _CPU_COMMANDS:
            first = 0 if name == "cpu" else 1
            cpus = range(self._session.state.cpus)
            yield from _matching([str(number + first) for number in cpus], word, "CPU")

    async def _symbols(self, cursor: At) -> AsyncGenerator[Completion, None]:
        argument = cursor.argument
        wanted = _SYMBOL.search(cursor.word)
        kinds = (Kind.ADDRESS, Kind.WORD, Kind.RANGE, Kind.SCOPE, Kind.DESCRIPTOR_CHANGE)
        if argument is None or argument.kind not in kinds or wanted is None:
            return
        for name in (await self._session.symbols(wanted[1]))[:MOST_SYMBOLS]:
            yield Completion(name, -len(wanted[1]), display_meta="symbol")

    async def _of_gdb(self, line: str) -> AsyncGenerator[Completion, None]:
        rest = line.lstrip()
        rest = rest.removeprefix(f"{GDB} ")
        if not rest.strip():
            return
        kept = rest.rfind(" ") + 1
        ours = {*COMMANDS.spellings, *OWN} if not kept and not line.lstrip().startswith(f"{GDB} ") else set()
        for match in await self._session.completions(rest):
            if match not in ours:
                meta = "GDB" if not kept else ""
                yield Completion(match[kept:], -(len(rest) - kept), display_meta=meta)


def leaf_fields(architecture: Architecture) -> Mapping[str, Field]:
    """Return the fields that a leaf descriptor may have, by name."""
    return {field.name: field for leaf in architecture.leaves for field in leaf.fields()}


def _first_words(line: str) -> Iterator[Completion]:
    word = line.lstrip()
    for name, said in (*((name, COMMANDS[name].summary) for name in COMMANDS.spellings), *OWN.items()):
        if name.startswith(word):
            yield _completion(name, word, said)


def _field_change(fields: Mapping[str, Field], word: str, before: str) -> Iterator[Completion]:
    """Complete `FIELD=VALUE`: its name, then the encodings that have one."""
    name, equals, value = word.partition("=")
    if not equals:
        for field in fields.values():
            if field.name.upper().startswith(name.upper()):
                yield Completion(f"{before}{field.name}=", -len(before + word), field.name, display_meta=field.doc)
        return
    named = fields.get(name) or fields.get(name.upper())
    for number, meaning in sorted(named.values.items()) if named is not None else ():
        if str(number).startswith(value):
            yield Completion(str(number), -len(value), display_meta=meaning)


def _matching(candidates: Iterable[str], word: str, meta: str) -> list[Completion]:
    return [_completion(each, word, meta) for each in candidates if each.startswith(word)]


def _completion(text: str, word: str, meta: str) -> Completion:
    return Completion(text, -len(word), display_meta=meta)
