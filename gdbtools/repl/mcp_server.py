"""`gdbtools mcp`: the commands as tools of the Model Context Protocol, over stdin and stdout, for assistants.

Each registered command that the machine can answer is a tool with typed arguments; its answers are the lines of
`--json`.  What changes a guest or writes a file is there only with `--allow-writes`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdbtools.commands import COMMANDS
from gdbtools.commands.declared.shared import DIRTY_CONVENTIONS
from gdbtools.commands.model import Argument, Command, Kind
from gdbtools.commands.parser import HelpWanted, Parser
from gdbtools.errors import GdbtoolsError, Unavailable, UsageError
from gdbtools.repl.mi import Gdb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp.server import Server

Ask = Callable[[Command, Sequence[str]], Sequence[str]]
"""Answer a command's words with lines of JSON; raises `GdbtoolsError`."""

INSTRUCTIONS = (
    "gdbtools decodes the MMU of an AArch64 guest: `fault` explains the current fault with the deciding bit, `walk` "
    "translates addresses, `map` lists mappings. Addresses are strings such as 0xffff000000080000 or, with symbols, "
    "names. Answers are objects of the schema gdbtools/1; every address and register in them is a hex string."
)
_TYPES = {Kind.NUMBER: "integer", Kind.FLAG: "boolean"}
ALLOW = "--allow-writes"


def tools(live: bool, writes: bool) -> Sequence[Command]:
    """Give the commands that are tools: `live` of a guest, else of a dump; `writes` also those that change things."""
    harmless = (each for each in COMMANDS.values() if writes or not (each.changes_guest or each.writes_files))
    return [each for each in harmless if (live or not each.live_only) and (not live or not each.runs_guest or writes)]


def schema(command: Command) -> dict[str, Any]:
    """Give the JSON Schema of a command's arguments."""
    required = [_key(each) for each in command.arguments if not each.is_option and each.many in ("", "+")]
    properties = {_key(each): _property(each) for each in command.arguments}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _key(argument: Argument) -> str:
    return argument.name.lstrip("-").replace("-", "_")


def _property(argument: Argument) -> dict[str, Any]:
    one: dict[str, Any] = {"type": _TYPES.get(argument.kind, "string")}
    if argument.choices:
        one["enum"] = list(argument.choices)
    if argument.many in ("*", "+"):
        one = {"type": "array", "items": one}
    return {**one, "description": argument.help}


def words_of(command: Command, given: Mapping[str, Any]) -> list[str]:
    """Write a tool's arguments as the words that every face parses; raises `UsageError` for one it has not."""
    known = {_key(each): each for each in command.arguments}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UsageError(f"{command.name} has no argument {unknown[0]}; it has: {', '.join(known) or 'none'}")
    words: list[str] = []
    for key, argument in known.items():
        for value in given[key] if isinstance(given.get(key), list) else [given.get(key)]:
            if value is None or value is False:
                continue
            if not argument.is_option:
                words.append(str(value))
            elif argument.kind is Kind.FLAG:
                words.append(argument.name)
            else:
                words.append(f"{argument.name}={value}")
    return words


@contextmanager
def attached(address: str, elf: str | None, init: Path) -> Iterator[Ask]:
    """Answer from a guest, through a GDB of our own that is attached to its stub."""
    with Gdb(init=init) as gdb:
        if elf is not None:
            gdb.run(f"file {elf}")
        reply = gdb.run(f"target remote {address}")
        if reply.error:
            raise Unavailable(f"GDB says of {address}: {reply.error}; is QEMU's gdbstub there?")

        def ask(command: Command, words: Sequence[str]) -> Sequence[str]:
            quoted = " ".join(json.dumps(word) for word in words)
            reply = gdb.run(f"-mmu {command.name} {quoted}")
            if reply.error:
                raise UsageError(reply.error)
            printed = [line for line in reply.text.splitlines() if line.startswith("{")]
            return [*reply.results.get("answers", []), *printed]

        yield ask


def server(ask: Ask, commands: Sequence[Command]) -> Server[Any]:
    """Make a server whose tools are these commands, asked one at a time."""
    from mcp import types
    from mcp.server import Server

    by_name = {command.name: command for command in commands}
    one_at_a_time = asyncio.Lock()

    async def list_tools(*_: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=each.name,
                    description=f"{each.summary}.\n\n{each.description}",
                    input_schema=schema(each),
                    annotations=types.ToolAnnotations(read_only_hint=not each.changes_guest and not each.writes_files),
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
            async with one_at_a_time:
                lines = await asyncio.to_thread(ask, command, words_of(command, asked.arguments or {}))
        except (GdbtoolsError, HelpWanted) as error:
            return types.CallToolResult(content=[types.TextContent(text=str(error))], is_error=True)
        text = [types.TextContent(text=line) for line in lines]
        return types.CallToolResult(
            content=[*text], structured_content={"answers": [json.loads(line) for line in lines]}
        )

    return Server("gdbtools", instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool)


def parser() -> Parser:
    """Give the parser of `gdbtools mcp`."""
    made = Parser(prog="gdbtools mcp", description="Serve the commands to an assistant, over stdin and stdout.")
    made.add_argument("-s", "--source", action="append", help="answer from a dump, as `gdbtools COMMAND -s` does")
    made.add_argument("--stop", action="store_true", help="hold a guest that runs (of a qmp: source) meanwhile")
    made.add_argument("--attach", metavar="ADDRESS", help="answer from a guest: :1234, HOST:PORT or a socket's path")
    made.add_argument("--registers", help="a JSON object of register names to hex strings")
    made.add_argument("--cpu", type=int, help="which CPU of the source")
    made.add_argument("--dirty-convention", choices=DIRTY_CONVENTIONS, help="how its guest marks what was written")
    made.add_argument("--elf", help="an ELF file whose symbols may be used as addresses")
    made.add_argument(ALLOW, action="store_true", help="also offer what changes the guest or writes files")
    return made


def serve(words: Sequence[str], opened: Callable[[argparse.Namespace], AbstractContextManager[Ask]], init: Path) -> int:
    """Run `gdbtools mcp` until the client has gone; gives the exit status.

    `opened` makes what answers from a dump, `init` is the file to source inside GDB.
    """
    options = parser().parse_args(words)
    if (options.source is None) == (options.attach is None):
        raise UsageError("say what to look at: gdbtools mcp -s DUMP, or gdbtools mcp --attach :1234")
    try:
        from mcp.server.stdio import stdio_server
    except ModuleNotFoundError as missing:
        raise Unavailable(f"{missing.name} is not installed; pip install 'gdbtools[mcp]'") from None
    live = options.attach is not None
    source = attached(options.attach, options.elf, init) if live else opened(options)

    async def run(ask: Ask) -> None:
        made = server(ask, tools(live, options.allow_writes))
        async with stdio_server() as (incoming, outgoing):
            await made.run(incoming, outgoing, made.create_initialization_options())

    with source as ask:
        asyncio.run(run(ask))
    return 0
