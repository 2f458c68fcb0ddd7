"""Lines that nobody types: from `-c`, from a file, or from standard input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gdbtools.errors import INTERRUPTED, USAGE, UsageError
from gdbtools.repl.command_line import ForGdb, Own, first_word, open_blocks, read
from gdbtools.repl.runner import Runner
from gdbtools.repl.session import PromptSubject
from gdbtools.repl.terminal.interrupts import on_ctrl_c

INTERRUPT = "interrupt"
"""GDB's word that stops a guest that runs by `continue &`."""


def requests(lines: Sequence[str]) -> Iterator[str]:
    """Put the lines of a block of GDB's together; a block that is not ended raises `UsageError`."""
    block: list[str] = []
    for line in lines:
        block.append(line)
        if not open_blocks("\n".join(block)):
            yield "\n".join(block)
            block = []
    if block:
        raise UsageError(f"{block[0].strip()!r} has no `end`")


async def run(session: PromptSubject, runner: Runner, lines: Sequence[str]) -> int:
    """Execute lines; a line that runs the guest is over when the guest has stopped, unless it ends in `&`.

    Returns the exit status of the last one; one that fails is the last one.
    """
    status = 0
    came: list[bool] = []

    def interrupt() -> None:
        came.append(True)
        session.interrupt()

    with on_ctrl_c(interrupt):
        for text in requests(lines):
            request = read(text)
            if request is None:
                continue
            if isinstance(request, Own) and request.name == "quit":
                break
            ran = session.waits
            status = await runner.execute(session, request)
            stops = isinstance(request, ForGdb) and first_word(request.text) == INTERRUPT
            if stops or not (ran or text.rstrip().endswith("&")):
                await session.settled()
            if came:
                return INTERRUPTED
            if status >= USAGE:
                # What was asked could not be answered.
                break
    runner.screen.flush()
    return status
