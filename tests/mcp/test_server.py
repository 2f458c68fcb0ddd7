"""The commands as an assistant's tools: typed arguments, the answers of `--json`, nothing written unless allowed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gdbtools import __version__
from gdbtools.commands import COMMANDS
from gdbtools.errors import UsageError
from gdbtools.mcp.server import schema, tools, words_of
from tests.places import ROOT
from tests.test_cli import DEMO, OSV

mcp = pytest.importorskip("mcp", reason="the package mcp is not installed")

FAULTING = "0x100000120e40"
SECONDS = 240
"""What no talk takes, however busy the machine is."""


def with_client(words: tuple[str, ...], talk: Callable[[Any], Any]) -> Any:
    """Start `gdbtools mcp` and have a client of the protocol talk to it."""
    from mcp.client.stdio import StdioServerParameters, stdio_client

    async def session() -> Any:
        parameters = StdioServerParameters(
            command=sys.executable, args=["-m", "gdbtools.cli", "mcp", *words], cwd=str(ROOT)
        )
        async with stdio_client(parameters) as streams, mcp.ClientSession(*streams) as client:
            met = await client.initialize()
            assert met.server_info.version == __version__
            return await talk(client)

    # In a thread: whatever else runs in this one may have an event loop of its own.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(asyncio.wait_for(session(), SECONDS))).result()


def called(words: tuple[str, ...], name: str, **arguments: Any) -> Any:
    return with_client(words, lambda client: client.call_tool(name, arguments))


def cli(*words: str) -> list[Any]:
    done = subprocess.run([sys.executable, "-m", "gdbtools.cli", *words], capture_output=True, text=True, cwd=ROOT)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_tools_of_a_dump_are_its_commands_and_none_of_them_writes() -> None:
    async def talk(client: Any) -> Any:
        return (await client.list_tools()).tools

    listed = {tool.name: tool for tool in with_client(("-s", DEMO), talk)}
    assert {"walk", "map", "fault", "regs", "syndrome", "status"} <= set(listed)
    assert not {"capture", "redact", "fixup", "service", "pte"} & set(listed)
    assert all(tool.annotations.read_only_hint for tool in listed.values())
    kinds = ["read", "write", "execute", "read-code", "shadow-stack-read", "shadow-stack-write"]
    assert listed["walk"].input_schema["properties"]["access"]["enum"] == kinds


def test_an_answer_is_the_line_that_the_command_prints() -> None:
    answer = called(("-s", OSV), "walk", address=[FAULTING, "0xfc0000000"], access="execute", el="1")
    assert not answer.is_error
    expected = cli("walk", "-s", OSV, FAULTING, "0xfc0000000", "--access", "execute", "--el", "1", "--json")
    assert len(expected) == 2
    assert answer.structured_content == {"answers": expected}
    assert [json.loads(each.text) for each in answer.content] == expected


MISTAKES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("walk", {}, "ADDRESS is missing"),
    ("walk", {"address": ["nonsense"]}, "'nonsense' is not a number"),
    ("walk", {"address": ["0"], "colour": "red"}, "walk has no argument colour"),
    ("walk", {"address": ["--output=/tmp/x"]}, "begins with a dash"),
    ("walk", {"address": ["0"], "unprivileged": "no"}, "true or false"),
    ("walk", {"address": [["0"]]}, "a string or a number"),
    ("walk", {"address": ["0\n1"]}, "cannot be printed"),
    ("find_roots", {}, "there is no tool find_roots"),
    ("find-roots", {"write": "/tmp/x"}, "find-roots has no argument write"),
    ("trace", {"file": "x", "perfetto": "/tmp/x"}, "trace has no argument perfetto"),
    ("capture", {"file": "/tmp/x"}, "there is no tool capture; --allow-writes would offer it"),
    ("nosuch", {}, "there is no tool nosuch"),
)


def test_a_mistake_is_an_answer_that_says_what_to_do() -> None:
    async def talk(client: Any) -> Any:
        return [await client.call_tool(name, arguments) for name, arguments, _ in MISTAKES]

    for answer, (name, arguments, said) in zip(with_client(("-s", DEMO), talk), MISTAKES, strict=True):
        assert answer.is_error, (name, arguments)
        assert said in answer.content[0].text


def test_with_writes_allowed_a_capture_can_be_made(tmp_path: Path) -> None:
    path = tmp_path / "made.core"
    answer = called(("-s", DEMO, "--allow-writes"), "capture", file=str(path))
    assert not answer.is_error
    assert path.exists()


@pytest.mark.parametrize("words", [(), ("-s", DEMO, "--attach", ":1"), ("-s", "/nonexistent")])
def test_what_cannot_be_served_is_one_line(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "gdbtools.cli", "mcp", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL)
    assert done.returncode in (2, 3)
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize("live", [False, True])
def test_what_acts_is_offered_only_if_that_is_allowed(live: bool) -> None:
    harmless, all_of_them = tools(live, False), tools(live, True)
    acts = ("changes_guest", "runs_guest", "sets_breakpoints")
    assert not any(getattr(each, act) for each in harmless for act in acts)
    assert not any(argument.writes for each in harmless for argument in each.arguments)
    assert {"find-roots", "trace"} <= {each.name for each in harmless}, "they write only if they are told to"
    assert {each.name for each in all_of_them} == {
        name for name, each in COMMANDS.items() if live or not each.live_only
    }


def test_what_names_a_file_that_is_written_says_so() -> None:
    named = {f"{name} {each.name}" for name, command in COMMANDS.items() for each in command.arguments if each.writes}
    assert named == {
        "audit --write-baseline",
        "capture file",
        "find-roots --write",
        "redact file",
        "service --log",
        "trace --perfetto",
    }


def test_a_list_that_is_long_is_told_in_parts_that_make_up_the_whole() -> None:
    async def talk(client: Any) -> Any:
        found, asked = [], {"limit": 7}
        while True:
            (answer,) = (await client.call_tool("map", asked)).structured_content["answers"]
            found.append(answer["result"])
            if "rest" not in found[-1]:
                return found
            asked = {"limit": 7, "range": found[-1]["rest"]["range"]}

    parts = with_client(("-s", DEMO), talk)
    (whole,) = cli("map", "-s", DEMO, "--json")
    assert [len(part["runs"]) for part in parts] == [7, 7, 7, 3]
    assert [run for part in parts for run in part["runs"]] == whole["result"]["runs"]
    assert schema(COMMANDS["map"])["properties"]["limit"]["description"].endswith("(default: 200)")
    assert "--limit=200" in words_of(COMMANDS["map"], {})


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_has_a_type_and_comes_back_as_words(name: str) -> None:
    command = COMMANDS[name]
    properties = schema(command)["properties"]
    assert len(properties) == len(command.arguments)
    values: dict[str, Any] = {"string": "0x1", "integer": 1, "boolean": True, "array": ["0x1", "0x2"]}
    given = {key: each.get("enum", [values[each["type"]]])[0] for key, each in properties.items()}
    words = words_of(command, given)
    assert len(words_of(command, {})) == ("limit" in properties), "nothing else has a value that nobody gave"
    assert all(argument.name in " ".join(words) for argument in command.arguments if argument.is_option)
    with pytest.raises(UsageError, match="has no argument"):
        words_of(command, {"no_such": 1})


@pytest.mark.guest
def test_a_live_guest_answers_and_is_not_changed(gdb_path: str, qemu: str) -> None:
    from gdbtools.children.processes import Qemu
    from tests.live.session import GUEST

    with Qemu(GUEST, 1) as stopped:

        async def talk(client: Any) -> tuple[Any, Any, Any]:
            names = [tool.name for tool in (await client.list_tools()).tools]
            walked = await client.call_tool("walk", {"address": ["$pc", "cpu_main"]})
            return names, walked, await client.call_tool("fixup", {})

        words = ("--attach", str(stopped.gdbstub), "--elf", str(GUEST), "--gdb", gdb_path)
        names, walked, refused = with_client(words, talk)
    assert "status" in names
    assert "fixup" not in names
    assert [each["result"]["outcome"] for each in walked.structured_content["answers"]] == ["mapped", "mapped"]
    assert refused.is_error
