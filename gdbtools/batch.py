"""`gdbtools batch`: one question of many sources, by several processes; each source's answer is a line of JSON.

What is done with a source is what the command line does with it alone, so that a source that cannot be read, or that
ends the process that reads it, is a line as well, and no end of the rest.
"""

from __future__ import annotations

import glob
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, Final

from gdbtools.commands import COMMANDS
from gdbtools.commands.parser import HelpFormatter, Parser
from gdbtools.errors import ANSWERED, FINDING, MISSING, UsageError

Ask = Callable[[Sequence[str]], int]
"""Answer words of a command line on standard output, and return the exit status."""
_ABOUT: Final = (
    "Ask COMMAND, with its own words, of every file that is named so, a line of JSON each, in order of\n"
    "their names: its status, its answers, and the error of one that cannot be answered. A pattern is for\n"
    "gdbtools to read, so quote it: -s 'dumps/*.core'; ** is any folders, and @BASE behind it a raw image's."
)
_DIED: Final = "gdbtools: the process that read it has ended: it wanted more memory than there is, or was killed"


def parser() -> Parser:
    """Return the parser of `gdbtools batch`."""
    made = Parser(
        prog="gdbtools batch", description=_ABOUT, formatter_class=HelpFormatter, allow_abbrev=False,
        usage="gdbtools batch COMMAND [WORDS] -s PATTERN... [--jobs N] [--resume FILE]",
    )  # fmt: skip
    made.add_argument("-s", "--source", action="append", metavar="PATTERN", help="the files to ask, as a shell has it")
    made.add_argument("--jobs", type=int, metavar="N", help="how many processes (default: as many as CPUs)")
    made.add_argument("--resume", metavar="FILE", help="add the lines to FILE, of files that have none there yet")
    return made


def batch(words: Sequence[str], ask: Ask) -> int:
    """Ask, and return the exit status: whether any answer is a finding, else whether any is missing."""
    given, asked = parser().parse_known_args([*words])
    if not asked or asked[0] not in COMMANDS or COMMANDS[asked[0]].live_only:
        raise UsageError("say what to ask of each: gdbtools batch COMMAND -s 'dumps/*.core', of a command for dumps")
    if given.jobs is not None and given.jobs < 1:
        raise UsageError(f"--jobs {given.jobs} asks nobody; give at least 1")
    sources = matching(given.source or ())
    if not sources:
        raise UsageError(f"no file is named like {' or '.join(given.source or ('that',))}; say -s 'dumps/*.core'")
    statuses: set[int] = set()
    with ExitStack() as held:
        kept = None
        if given.resume is not None:
            path = Path(given.resume).expanduser()
            known = resumed(path)
            statuses |= {each["status"] for each in known}
            sources = [source for source in sources if source not in {each["source"] for each in known}]
            kept = held.enter_context(path.open("a", encoding="utf-8"))
        for found in answers(partial(answered, ask, asked), sources, given.jobs or os.cpu_count() or 1):
            statuses.add(found["status"])
            print(json.dumps(found), file=kept, flush=True)
    if FINDING in statuses:
        return FINDING
    return ANSWERED if statuses <= {ANSWERED} else MISSING


def matching(patterns: Sequence[str]) -> list[str]:
    """Return the files that patterns name, in order of their names, each once; a raw image's base stays behind it."""
    found = set()
    for pattern in patterns:
        path, at, base = pattern.partition("@")
        found |= {f"{each}{at}{base}" for each in glob.glob(os.path.expanduser(path), recursive=True)}
    return sorted(found)


def resumed(path: Path) -> list[dict[str, Any]]:
    """Return what a file has of an earlier run, and cut off a last line that did not come to its end."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        os.truncate(path, len(whole))
    try:
        return [json.loads(line) for line in whole.splitlines()]
    except ValueError:
        raise UsageError(f"{path} is not what `gdbtools batch --resume` writes; name another file") from None


def answers(ask: Callable[[str], dict[str, Any]], sources: Sequence[str], jobs: int) -> Iterator[dict[str, Any]]:
    """Yield what is said of each source, in their order, by so many processes."""
    left = [*sources]
    while left:
        try:
            with ProcessPoolExecutor(min(jobs, len(left))) as pool:
                for found in pool.map(ask, [*left]):
                    left.pop(0)
                    yield found
        except BrokenProcessPool:
            # Whose process has ended is not said: the next one alone is asked again.
            yield _alone(ask, left.pop(0))


def _alone(ask: Callable[[str], dict[str, Any]], source: str) -> dict[str, Any]:
    try:
        with ProcessPoolExecutor(1) as pool:
            return pool.submit(ask, source).result()
    except BrokenProcessPool:
        return _line(source, MISSING, "", _DIED)


def answered(ask: Ask, words: Sequence[str], source: str) -> dict[str, Any]:
    """Return what a command says of a source."""
    said, error = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(error):
        status = ask([*words, "-s", source, "--json"])
    return _line(source, status, said.getvalue(), error.getvalue())


def _line(source: str, status: int, said: str, error: str) -> dict[str, Any]:
    told = [json.loads(line) for line in said.splitlines()]
    return {"source": source, "status": status, "answers": told, "error": error.strip().removeprefix("gdbtools: ")}
