"""`gdbtools mcp`: the commands as tools of the Model Context Protocol, over stdin and stdout, for assistants.

Each registered command that the machine can answer is a tool with typed arguments; its answers are the lines of
`--json`.  Without `--allow-writes` there is only what looks: nothing that changes a guest, runs it, sets a breakpoint
or writes a file, and no option that does.  Whoever asks is not trusted as a user at GDB's prompt is: expressions are
numbers, symbols and registers with arithmetic, which are read by gdbtools and have no effects, a value never counts as
an option, and what takes too long is ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdbtools import __version__
from gdbtools.commands import COMMANDS
from gdbtools.commands.model import Argument, Command, Kind
from gdbtools.commands.parser import HelpWanted, Parser
from gdbtools.commands.reading import seconds
from gdbtools.commands.sources import Sources, add_source_options, sources
from gdbtools.errors import GdbtoolsError, Unavailable, UsageError
from gdbtools.machine.sources import QMP
from gdbtools.mcp.workers import AT_ONCE, Ask, DumpWorker, GdbWorker, Pool, Worker

if TYPE_CHECKING:
    from mcp.server import Server

INSTRUCTIONS = (
    "gdbtools decodes the MMU of a guest: `fault` explains the current fault with the deciding bit, `walk` "
    "translates addresses, `map` lists mappings. Addresses are strings such as 0xffff000000080000 or, with symbols, "
    "names. Answers are objects of the schema gdbtools/1; every address and register in them is a hex string."
)
_TYPES = {Kind.NUMBER: "integer", Kind.FLAG: "boolean"}
ALLOW = "--allow-writes"
LIMIT, LISTED = "limit", 200
"""What says how long a list may become, and what it is where nobody says: `rest` in the answer says where to go on."""
LIMIT_SECONDS = 60.0
"""How long an answer may take."""


def tools(live: bool, writes: bool) -> Sequence[Command]:
    """Return the commands that are tools: `live` of a guest, else of a dump; `writes` also those that act."""
    able = (each for each in COMMANDS.values() if live or not each.live_only)
    return [*able] if writes else [looking for each in able if (looking := each.looking()) is not None]


def schema(command: Command) -> dict[str, Any]:
    """Return the JSON Schema of a command's arguments."""
    required = [each.key for each in command.arguments if not each.is_option and each.many in ("", "+")]
    properties = {each.key: _property(each) for each in command.arguments}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _property(argument: Argument) -> dict[str, Any]:
    said = argument.help
    if argument.key == LIMIT:
        said = f"{said.partition(' (default')[0]} (default: {LISTED})"
    one: dict[str, Any] = {"type": _TYPES.get(argument.kind, "string")}
    if argument.choices:
        one["enum"] = list(argument.choices)
    if argument.many in ("*", "+"):
        one = {"type": "array", "items": one}
    return {**one, "description": said}


def words_of(command: Command, given: Mapping[str, Any]) -> list[str]:
    """Write a tool's arguments as the words that every face parses; raises `UsageError` for what is none of them.

    A value is a value: one of a positional that begins with a dash would be taken for an option, and is refused.
    """
    known = {each.key: each for each in command.arguments}
    if LIMIT in known:
        given = {LIMIT: LISTED, **given}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UsageError(f"{command.name} has no argument {unknown[0]}; it has: {', '.join(known) or 'none'}")
    words: list[str] = []
    for key, argument in known.items():
        for value in given[key] if isinstance(given.get(key), list) else [given.get(key)]:
            if argument.kind is Kind.FLAG:
                words += [argument.name] if _flag(key, value) else []
            elif value is not None:
                word = _word(key, value)
                if word.startswith("-") and not argument.is_option:
                    raise UsageError(
                        f"{key}: {word!r} begins with a dash, and is no option here; write ./{word} for a file"
                    )
                words.append(f"{argument.name}={word}" if argument.is_option else word)
    return words


def _flag(key: str, value: object) -> bool:
    if value is not None and not isinstance(value, bool):
        raise UsageError(f"{key} is true or false, not {value!r}")
    return bool(value)


def _word(key: str, value: object) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise UsageError(f"{key} is a string or a number, not {type(value).__name__}")
    word = str(value)
    if not word.isprintable():
        raise UsageError(f"{key}: {word!r} has characters that cannot be printed; leave them out")
    return word


def server(pool: Pool, commands: Sequence[Command]) -> Server[Any]:
    """Make a server whose tools are these commands."""
    from mcp import types
    from mcp.server import Server

    by_name = {name: command for command in commands for name in (command.name, *command.aliases)}

    async def list_tools(*_: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=each.name,
                    description=f"{each.summary}.\n\n{each.description}",
                    input_schema=schema(each),
                    annotations=types.ToolAnnotations(read_only_hint=each.only_looks),
                )
                for each in commands
            ]
        )

    async def call_tool(_: Any, asked: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            if asked.name not in by_name:
                because = f"; {ALLOW} would offer it" if asked.name in COMMANDS else ""
                raise UsageError(f"there is no tool {asked.name}{because}")
            command = by_name[asked.name]
            lines = await pool.ask(command.name, words_of(command, asked.arguments or {}))
        except (GdbtoolsError, HelpWanted) as error:
            return types.CallToolResult(content=[types.TextContent(text=str(error))], is_error=True)
        text = [types.TextContent(text=line) for line in lines]
        return types.CallToolResult(
            content=[*text], structured_content={"answers": [json.loads(line) for line in lines]}
        )

    return Server(
        "gdbtools", version=__version__, instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool
    )


def parser() -> Parser:
    """Return the parser of `gdbtools mcp`."""
    made = Parser(prog="gdbtools mcp", description="Serve the commands to an assistant, over stdin and stdout.")
    made.add_argument("-s", "--source", action="append", help="answer from a dump, as `gdbtools COMMAND -s` does")
    add_source_options(made)
    made.add_argument("--attach", metavar="ADDRESS", help="answer from a guest: :1234, HOST:PORT or a socket's path")
    made.add_argument("--elf", help="an ELF file whose symbols may be used as addresses")
    made.add_argument("--gdb", default="", metavar="PROGRAM", help="the GDB to use")
    made.add_argument(ALLOW, action="store_true", help="also offer what changes the guest or writes files")
    made.add_argument("--limit", metavar="SECONDS", help=f"end what takes longer to answer (default: {LIMIT_SECONDS})")
    return made


def serve(words: Sequence[str], opened: Callable[[Sources, bool], AbstractContextManager[Ask]], init: Path) -> int:
    """Run `gdbtools mcp` until the client has gone; returns the exit status.

    `opened` makes what answers from sources, in another process, and acts too if it is told so; `init` is the file to
    source inside GDB.
    """
    options = parser().parse_args(words)
    if (options.source is None) == (options.attach is None):
        raise UsageError("say what to look at: gdbtools mcp -s DUMP, or gdbtools mcp --attach :1234")
    limit = LIMIT_SECONDS if options.limit is None else seconds(options.limit)
    try:
        from mcp.server.stdio import stdio_server
    except ModuleNotFoundError as missing:
        raise Unavailable(f"{missing.name} is not installed; pip install 'gdbtools[mcp]'") from None
    live = options.attach is not None
    make: Callable[[], Worker] = (
        partial(GdbWorker, options.gdb, options.attach, options.elf, init, options.allow_writes)
        if live
        else partial(DumpWorker, partial(opened, sources(vars(options)), options.allow_writes))
    )
    # A gdbstub and a monitor serve one at a time.
    alone = live or any(each.startswith(QMP) for each in options.source)

    async def run() -> None:
        pool = Pool(make, 1 if alone else AT_ONCE, limit)
        try:
            pool.start()
            made = server(pool, tools(live, options.allow_writes))
            async with stdio_server() as (incoming, outgoing):
                await made.run(incoming, outgoing, made.create_initialization_options())
        finally:
            pool.end()

    asyncio.run(run())
    return 0
