"""What a request comes to: asked of the session, and shown."""

from __future__ import annotations

import sys
from dataclasses import replace

from gdbtools.children.debugger import Printed
from gdbtools.commands import COMMANDS
from gdbtools.commands.files import keep_apart
from gdbtools.commands.parser import parse, parser_for
from gdbtools.errors import GdbtoolsError, UsageError
from gdbtools.printable import in_a_line, tame
from gdbtools.render.document import Document, Facts, Line, Role, Span, Text
from gdbtools.repl.command_line import GDB, OWN, PREFIX, SHADOWED, ForGdb, Outlet, Own, Question, Request, as_typed_here
from gdbtools.repl.events import News, PromptNote, ScanEnded
from gdbtools.repl.redirect import deliver
from gdbtools.repl.session import SHARED, Answered, Doing, PromptSubject
from gdbtools.repl.terminal.screen import Screen

JSON = "--json"
_HELP = {"-h", "--help"}


class Runner:
    """Executes requests.

    Without a prompt (`interactive` is false) errors go to standard error and nothing is paged.  With `json` standard
    output carries answers of ours only, a JSON object a line; everything else goes to standard error.
    """

    def __init__(self, screen: Screen, interactive: bool, json: bool = False) -> None:
        self.screen = screen
        self._interactive = interactive
        self._json = json

    def hear(self, news: News) -> None:
        """Print what nobody asked for."""
        if isinstance(news, Printed):
            text = tame(news.text)
            text = self.screen.painted(text, Role.BAD) if news.is_error else text
            self._say(text, news.is_error)
        elif isinstance(news, PromptNote):
            self.screen.begin_line()
            self._say(self.screen.rendered(news.document))
        elif isinstance(news, ScanEnded):
            self.screen.clear_progress()
        else:
            self.screen.progress(news.reads, news.size_bytes)

    def _say(self, text: str, is_error: bool = False) -> None:
        if self._json or (is_error and not self._interactive):
            self.screen.flush()
            print(text, end="", file=sys.stderr, flush=True)
        else:
            self.screen.write(text)

    async def execute(self, session: PromptSubject, request: Request) -> int:
        """Carry out a request and give its exit status; an error is a line, never raised."""
        try:
            if isinstance(request, Question):
                return await self._question(session, request)
            if isinstance(request, ForGdb):
                return await session.through(request)
            return await self._own(session, request)
        except GdbtoolsError as error:
            self._failed(request, error)
            return error.status
        finally:
            if self.screen.application is None:
                self.screen.clear_progress()

    async def _question(self, session: PromptSubject, question: Question) -> int:
        if _HELP & set(question.words):
            return await self._show_help(session, question.command.name, question.outlet)
        if question.outlet is not None and question.outlet.how != "|":
            # What is read may be the very file: it is refused before anything is asked.
            asked = parse(question.command, question.words, PREFIX, SHARED)
            keep_apart([*asked.writes, (question.outlet.how, question.outlet.path)], [*session.files, *asked.reads])
        if self._json and JSON not in question.words:
            question = replace(question, words=(*question.words, JSON))
        answered = await session.ask(question)
        status = await self._deliver(answered, question.outlet)
        if answered.resumes:
            await session.resume()
        return status

    async def _deliver(self, answered: Answered, outlet: Outlet | None) -> int:
        """Show an answer; one that comes behind the prompt's back goes above it, without a pager."""
        application = self.screen.application
        if application is None:
            return deliver(answered, outlet, self.screen, self._interactive)
        from prompt_toolkit.application import run_in_terminal

        def above() -> int:
            self.screen.application = None
            try:
                return deliver(answered, outlet, self.screen, pages=False)
            finally:
                self.screen.application = application

        return await run_in_terminal(above)

    def _failed(self, request: Request, error: GdbtoolsError) -> None:
        said = as_typed_here(in_a_line(str(error)))
        if isinstance(request, Question) and request.command.name in SHADOWED and isinstance(error, UsageError):
            name = request.command.name
            said += f" (GDB's own: `{GDB} {name} ...`)"
        line = self.screen.rendered(Document([Line(Span(said, Role.BAD))]))
        self.screen.begin_line()
        self._say(line if self._interactive else f"gdbtools: {said}\n", is_error=True)

    async def _own(self, session: PromptSubject, own: Own) -> int:
        if own.name == "help":
            name = next((word for word in own.words if word != PREFIX), "")
            return await self._show_help(session, name, own.outlet)
        elif own.name == "cpu":
            await session.select(_cpu(own.words))
            session.say(where(session), Role.PLAIN)
        elif own.name == "reconnect":
            await session.open()
            await session.look()
            session.say(where(session), Role.PLAIN)
        return 0

    async def _show_help(self, session: PromptSubject, name: str, outlet: Outlet | None) -> int:
        documents: tuple[Document, ...] = ()
        text = ""
        if name in COMMANDS:
            parser = parser_for(COMMANDS[name], PREFIX, SHARED, self.screen.columns)
            text = as_typed_here(parser.format_help())
        elif name in OWN:
            text = f"{name}: {OWN[name]}.\n"
        else:
            documents = (overview(session.state.doing is not Doing.SOURCE),)
        return await self._deliver(Answered(0, documents, text), outlet)


def _cpu(words: tuple[str, ...]) -> int:
    if len(words) != 1 or not words[0].isdecimal():
        raise UsageError("write which CPU, as `status` counts them: cpu 1")
    return int(words[0])


def where(session: PromptSubject) -> str:
    """Return in a line what is looked at and where it stands."""
    state = session.state
    parts = [state.doing.value.capitalize()]
    parts += [f"CPU {state.cpu} of {state.cpus}"] if state.cpu is not None else []
    parts += [state.privilege] if state.privilege else []
    parts += [each for each in (state.regime, f"pc {state.place}" if state.place else "") if each]
    return ", ".join(parts) + "."


def overview(live: bool) -> Document:
    """Return what can be asked at the prompt."""
    commands = [each for each in COMMANDS.values() if live or not each.live_only]
    rows: list[tuple[str, Text]] = [(each.name, each.summary) for each in commands]
    own: list[tuple[str, Text]] = [(name, said) for name, said in OWN.items() if live or name != "reconnect"]
    more: list[tuple[str, Text]] = [
        ("--help", "after a command explains it; Tab completes, Ctrl-R searches"),
        ("| grep rw", "after a command sends its answer there; > FILE to a file"),
    ]
    if live:
        names = ", ".join(sorted(SHADOWED))
        more.append((GDB, f"before a command makes it GDB's own: {names} are ours"))
        more.append(("else", "whatever is not listed here goes to GDB as it is"))
        more.append(("Ctrl-C", "stops the guest; while it runs, the last stop answers"))
    head = Line([Span("What do the translation tables say?", Role.HEADING)])
    return Document([head, Facts([*rows, ("", ""), *own, ("", ""), *more])])
