"""What GDB is asked: commands of ours by `-mmu --prompt`, and what a prompt wants to know of GDB's own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from gdbtools.children.debugger import Debugger
from gdbtools.children.mi import quoted
from gdbtools.errors import GdbtoolsError, Unavailable, crossed
from gdbtools.render.document import Document
from gdbtools.render.document_json import document_of
from gdbtools.repl.session import Answered

_PLACE = re.compile(r"0x[0-9a-f]+( <[^>]*>)?")


async def answer(debugger: Debugger, name: str, words: Sequence[str], runs: bool = False) -> Answered:
    """Ask a command of ours for the user; one that `runs` the guest is answered when that has stopped."""
    told = await _told(debugger, name, words, runs=runs)
    documents = [document_of(each) for each in told.get("documents", ())]
    text = told.get("help") or "".join(f"{each}\n" for each in told.get("lines", ()))
    return Answered(told["status"], documents, text, resumes=bool(told.get("resumes")))


async def record(debugger: Debugger, name: str) -> dict[str, Any] | None:
    """Return the JSON of a command of ours that has one answer, None where it has none now."""
    try:
        (line,) = (await _told(debugger, name, ("--json",), unasked=True))["lines"]
    except GdbtoolsError:
        return None
    found: dict[str, Any] = json.loads(line)["result"]
    return found


async def verdict(debugger: Debugger) -> Document | None:
    """Return the verdict of the fault at this stop; None if GDB itself is set to say one: `set mmu-at-stop`."""
    with suppress(GdbtoolsError):
        if (await debugger.ask("-gdb-show mmu-at-stop", unasked=True)).results.get("value") == "nothing":
            (blocks,) = (await _told(debugger, "fault", (), unasked=True))["documents"]
            return Document(document_of(blocks).blocks[:1])
    return None


async def place(debugger: Debugger) -> str:
    """Return pc as GDB writes it, with the symbol that it is behind; empty where there is none."""
    with suppress(GdbtoolsError):
        value = (await debugger.ask("-data-evaluate-expression $pc", unasked=True)).results.get("value", "")
        found = _PLACE.search(value)
        return found.group() if found else ""
    return ""


async def completions(debugger: Debugger, line: str) -> Sequence[str]:
    """Return GDB's own completions of a line, as whole lines."""
    with suppress(GdbtoolsError):
        return list((await debugger.ask(f"-complete {quoted(line)}", unasked=True)).results.get("matches", ()))
    return ()


async def explanation(debugger: Debugger, name: str) -> str:
    """Return a sentence on a command of GDB's, empty where there is none of that name."""
    with suppress(GdbtoolsError):
        reply = await debugger.ask(f"-mmu --explain {quoted(name)}", unasked=True)
        return str(reply.results.get("explanation", ""))
    return ""


async def _told(
    debugger: Debugger, name: str, words: Sequence[str], unasked: bool = False, runs: bool = False
) -> dict[str, Any]:
    """Return what `-mmu --prompt` says; an error that comes back is raised as what it was."""
    reply = await debugger.ask(" ".join(["-mmu --prompt", name, *map(quoted, words)]), unasked, runs)
    if reply.error:
        raise Unavailable(reply.error)
    told: dict[str, Any] = json.loads(reply.answer)
    if "error" in told:
        raise crossed(told["error"])
    return told
