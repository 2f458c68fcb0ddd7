"""The steps of a demo: a command to GDB, shown as at its prompt, or not."""

from __future__ import annotations

from prompt_toolkit import print_formatted_text
from prompt_toolkit.formatted_text import FormattedText

from gdbtools.children.mi import Gdb
from gdbtools.errors import Unavailable

SECONDS = 60


def quietly(gdb: Gdb, command: str) -> None:
    reply = gdb.run(command, SECONDS)
    if reply.error:
        raise Unavailable(f"GDB could not {command!r}: {reply.error}")


def transcript(gdb: Gdb, command: str) -> None:
    """Run a command and show it as it would look at GDB's prompt."""
    say("prompt", f"\n(gdb) {command}")
    reply = gdb.run(command, SECONDS)
    say("plain", reply.text.strip("\n"))
    if reply.error:
        raise Unavailable(f"GDB could not {command!r}: {reply.error}")


STYLE = {"title": "bold", "prompt": "bold ansicyan", "guest": "ansiyellow", "good": "bold ansigreen", "plain": ""}


def say(role: str, text: str) -> None:
    print_formatted_text(FormattedText([(STYLE[role], text.rstrip("\n"))]))
