"""The prompt: a line is typed, what it asks for is done, and whatever the guest does meanwhile is said above it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, is_searching
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.styles import Style

from gdbtools.errors import UsageError
from gdbtools.printable import in_a_line
from gdbtools.render.document import Role
from gdbtools.repl.command_line import ForGdb, Own, Request, first_word, open_blocks, read, repeated
from gdbtools.repl.runner import Runner, where
from gdbtools.repl.session import Doing, PromptSubject
from gdbtools.repl.terminal.completion import WordCompleter, hint
from gdbtools.repl.terminal.interrupts import on_ctrl_c
from gdbtools.repl.terminal.screen import by_lines
from gdbtools.repl.terminal.themes import Theme
from gdbtools.repl.terminal.toolbar import TIP, toolbar

PROMPT = "(gdbtools) "
GRACE_SECONDS = 0.3
"""How long a guest may run before the prompt comes back: a step is over by then, and looks like any command."""
MENU_LINES = 6
_EDITING_MODE = re.compile(r"^\s*set\s+editing-mode\s+(vi|emacs)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Manner:
    """How the user likes a prompt: colours, and whether by the keys of vi."""

    theme: Theme
    vi: bool


def likes_vi(keys: str | None, environment: Mapping[str, str]) -> bool:
    """Return whether the keys are vi's: as asked for, else as readline is set up, for GDB and every shell."""
    if keys is not None:
        return keys == "vi"
    path = Path(environment.get("INPUTRC") or Path(environment.get("HOME", "/")) / ".inputrc")
    try:
        modes = _EDITING_MODE.findall(path.read_text(errors="replace"))
    except OSError:
        return False
    return modes[-1:] == ["vi"]


def history(environment: Mapping[str, str]) -> History:
    """Return the history, kept in the user's state folder; where that cannot be written, only for this time."""
    state = Path(environment.get("XDG_STATE_HOME") or Path(environment.get("HOME", "/")) / ".local/state")
    path = state / "gdbtools" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


class Prompt:
    """A terminal with somebody at it."""

    def __init__(self, session: PromptSubject, runner: Runner, manner: Manner) -> None:
        self._session = session
        self._runner = runner
        self._screen = runner.screen
        self._behind: set[asyncio.Task[int]] = set()
        self._last = ""
        self._explained: dict[str, str] = {}
        """What GDB says of its commands."""
        self._lines: PromptSession[str] = PromptSession(
            FormattedText([("class:prompt", PROMPT)]),
            multiline=Condition(lambda: open_blocks(self._lines.default_buffer.text) > 0),
            prompt_continuation=lambda width, number, wrapped: "" if wrapped else " " * (width - 2) + "> ",  # noqa: ARG005
            history=history(os.environ),
            completer=WordCompleter(session),
            complete_while_typing=True,
            auto_suggest=AutoSuggestFromHistory(),
            bottom_toolbar=self._toolbar,
            key_bindings=self._keys(),
            editing_mode=EditingMode.VI if manner.vi else EditingMode.EMACS,
            style=Style.from_dict(dict(manner.theme.style)),
            color_depth=ColorDepth.DEPTH_1_BIT if manner.theme.colourless else None,
            include_default_pygments_style=False,
            reserve_space_for_menu=MENU_LINES,
            search_ignore_case=True,
            enable_open_in_editor=True,
            enable_suspend=True,
        )
        session.changed = self._lines.app.invalidate

    def _toolbar(self) -> str:
        return toolbar(self._session.state, self._said(), self._screen.columns)

    def _said(self) -> str:
        """Return what is known of what is being typed; of nothing, the last verdict."""
        line = self._lines.default_buffer.text.strip()
        if not line:
            return self._session.state.verdict or TIP
        request = None
        with suppress(UsageError):
            request = read(line)
        if not isinstance(request, ForGdb):
            return hint(self._lines.default_buffer.document.text_before_cursor)
        name = first_word(request.text)
        if name not in self._explained:
            self._explained[name] = ""
            asyncio.get_running_loop().create_task(self._explain(name))
        return self._explained[name]

    async def _explain(self, name: str) -> None:
        said = await self._session.explanation(name)
        if said:
            self._explained[name] = said
            self._lines.app.invalidate()
        else:
            del self._explained[name]

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c", filter=~is_searching)
        def _(event: KeyPressEvent) -> None:
            if self._session.waits:
                self._session.interrupt()
            else:
                event.current_buffer.reset()
                event.current_buffer.load_history_if_not_yet_loaded()

        @keys.add("c-d", filter=Condition(lambda: not self._lines.default_buffer.text))
        def _(event: KeyPressEvent) -> None:
            event.app.exit(exception=EOFError)

        return keys

    async def run(self) -> int:
        """Read and execute lines until the user leaves; returns the exit status."""
        live = self._session.state.doing is not Doing.SOURCE
        rest = "everything else goes to GDB" if live else "Ctrl-D leaves"
        self._screen.write(self._screen.painted(f"`help` lists what can be asked; {rest}.", Role.QUIET) + "\n")
        # Behind the prompt, which need not wait for it.
        first_look = asyncio.get_running_loop().create_task(self._first_look())
        try:
            # A line's own mode ends with the line: the terminal is then as it is here.
            with by_lines(False):
                return await self._work()
        finally:
            first_look.cancel()

    async def _first_look(self) -> None:
        await self._session.look()
        self._session.say(where(self._session), Role.PLAIN)

    async def _work(self) -> int:
        while True:
            try:
                text = await self._line()
            except EOFError:
                return 0
            text = text if text.strip() else repeated(self._last)
            self._last = text
            try:
                request = read(text)
            except UsageError as error:
                self._screen.write(self._screen.painted(in_a_line(str(error)), Role.BAD) + "\n")
                continue
            if request == Own("quit", ()):
                return 0
            if request is not None:
                await self._execute(request)

    async def _line(self) -> str:
        # The prompt is drawn from the first column on, over what stands there.
        self._screen.begin_line()
        self._screen.application = self._lines.app
        try:
            return await self._lines.prompt_async(handle_sigint=False)
        finally:
            self._screen.application = None
            self._screen.flush()

    async def _execute(self, request: Request) -> None:
        """Do what is asked for; if the guest runs for it, go on behind the prompt."""
        ran = self._session.waits
        task = asyncio.get_running_loop().create_task(self._runner.execute(self._session, request))
        with on_ctrl_c(self._session.interrupt):
            while not task.done() and (ran or not self._session.waits):
                await asyncio.wait({task}, timeout=GRACE_SECONDS)
            if self._session.waits and not ran:
                settled = asyncio.get_running_loop().create_task(self._session.settled())
                await asyncio.wait({settled}, timeout=GRACE_SECONDS)
                settled.cancel()
        if not task.done():
            self._behind.add(task)
            task.add_done_callback(self._behind.discard)
