"""One fixture, each command, each face: GDB, MI, the prompt on a guest and on a dump, the command line, MCP.

A guest is taken to a stop, and the face attaches to it there; the dump was made at that stop.  What GDB's console
gives is what every other face has to give.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gdbtools.children.processes import Qemu, find_gdb
from gdbtools.commands import COMMANDS
from gdbtools.mcp.server import words_of
from tests.live.session import CAPTURE, GUEST, Leaf, Session, gdb_session, symbol
from tests.mcp.test_server import with_client
from tests.places import ROOT
from tests.repl.conftest import GDBTOOLS
from tests.repl.guest import TO_SCAN

pytestmark = pytest.mark.guest

SECONDS = 120
OURS = Leaf(4, 1 << 44, 3).word
VECTORS, REGIONS = hex(symbol("vectors")), hex(symbol("regions"))
SEARCHED = f"{VECTORS},+0x40000"


@dataclass(frozen=True)
class Question:
    """A command and its arguments, as a tool has them; `{}` in one is the folder for files."""

    name: str
    given: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self, folder: Path) -> dict[str, Any]:
        return {key: each.format(folder) if isinstance(each, str) else each for key, each in self.given.items()}

    def words(self, folder: Path) -> list[str]:
        return [self.name, *words_of(COMMANDS[self.name], self.arguments(folder))]

    def line(self, folder: Path) -> str:
        return shlex.join(self.words(folder))


READING = (
    Question("status"),
    Question("regs"),
    Question("syndrome"),
    Question("walk", {"address": [VECTORS, hex(OURS), "0xdead000"], "access": "write"}),
    Question("walk", {"address": ["vectors"], "regime": "el1"}),
    Question("map", {"perm": "wx"}),
    Question("map"),
    Question("rmap", {"address": [VECTORS, hex(OURS)], "virtual": True}),
    Question("tables", {"all": True}),
    Question("guests"),
    Question("stage2", {"root": hex(symbol("tables")), "with": ["VTCR_EL2=0x80023558"]}),
    Question("audit"),
    Question("fault"),
    Question("explain", {"log": str(ROOT / "fixtures/logs/linux-6.1-null-write.log")}),
    Question("report", {"address": [VECTORS]}),
    Question("diff", {"before": str(CAPTURE)}),
    Question("find-roots", {"range": SEARCHED}),
    Question("capture", {"file": "{}/made.core"}),
    Question("redact", {"file": "{}/made.core"}),
    Question("trace", {"file": "{}/faults.jsonl"}),
    Question("fixup", {"dry_run": True}),
    Question("pte", {"address": hex(OURS), "change": ["AF=1", "SOFTWARE=3"], "dry_run": True}),
    Question("clear-af", {"range": REGIONS, "dry_run": True}),
)
"""What a dump answers as a guest does."""
CHANGING = (
    Question("pte", {"address": hex(OURS), "change": ["AF=1", "SOFTWARE=3"]}),
    Question("undo"),
    Question("clear-af", {"range": REGIONS}),
    Question("tlbi", {"what": hex(OURS)}),
    Question("watch", {"address": VECTORS}),
    Question("catch", {"kind": "any"}),
    Question("fixup"),
    Question("service", {"count": 3}),
)
"""In this order, at the first fault."""
ELSEWHERE = (
    Question("hardware-af", {"state": "on", "dirty": True}),
    Question("undo"),
    Question("probe", {"address": hex(OURS), "overwrite": True}),
    Question("working-set", {"range": "0x600000000000,+0x8000", "interval": "600", "samples": 1, "everywhere": True}),
)
"""In this order, before the first fault: where nothing is in a vector's hands.

The last one takes the guest to its end, long before its interval is over: what is counted is the same each time.
"""
HARDWARE_COULD = "max"
"""A CPU that could set access flags, were it asked to."""
OF_RECORDINGS = ("who",)
"""Which wants a guest that is replayed, and says so everywhere: tests/live/test_who.py."""
OF_KERNELS = ("tasks",)
"""Which wants a stock kernel, and says so everywhere: tests/guests/test_tasks.py."""
OF_THE_MOMENT = ("seconds", "began", "number", "source")
OF_THE_WAY = ("memory", "connection", "catching", "system registers", "writes")
"""What `status` says of how it looks at the machine."""


def timeless(answer: Any) -> Any:
    """Leave out times, the numbers that breakpoints have, and what the machine is reached through."""
    if isinstance(answer, dict):
        left_out = (*OF_THE_MOMENT, *OF_THE_WAY) if "cpus" in answer or "connection" in answer else OF_THE_MOMENT
        return {key: timeless(value) for key, value in answer.items() if key not in left_out}
    return [timeless(each) for each in answer] if isinstance(answer, list) else answer


Answers = Mapping[str, Sequence[Any]]
"""What a face gave for each command, in order: the models, and what is said of a refusal."""


def by_command(lines: Sequence[str]) -> Answers:
    found: dict[str, list[Any]] = {}
    for line in lines:
        told = json.loads(line)
        found.setdefault(told["command"], []).append([timeless(told["result"]), told.get("assumed", [])])
    return found


def joined(*parts: Answers) -> Answers:
    return {name: [*(each for part in parts for each in part.get(name, ()))] for name in COMMANDS}


@contextmanager
def stopped(before: Sequence[str]) -> Iterator[Qemu]:
    """A guest that was taken somewhere and that nothing is attached to."""
    with Qemu(GUEST, 1, HARDWARE_COULD) as qemu:
        with attached(qemu) as session:
            for command in (*before, "delete", "disconnect"):
                session.say(command)
        yield qemu


@contextmanager
def attached(qemu: Qemu) -> Iterator[Session]:
    with gdb_session(find_gdb()) as session:
        session.attach(GUEST, str(qemu.gdbstub))
        yield session


def in_console(qemu: Qemu, questions: Sequence[Question], folder: Path) -> Answers:
    with attached(qemu) as session:
        printed = "".join(session.say(f"mmu {each.line(folder)} --json") for each in questions)
    return by_command([line for line in printed.splitlines() if line.startswith("{")])


def over_mi(qemu: Qemu, questions: Sequence[Question], folder: Path) -> Answers:
    lines: list[str] = []
    with attached(qemu) as session:
        for each in questions:
            reply = session.gdb.run(f"-mmu {each.line(folder)}")
            assert not reply.error, reply.error
            lines += reply.results.get("answers") or [line for line in reply.text.splitlines() if line.startswith("{")]
    return by_command(lines)


def at_a_prompt(words: Sequence[str], questions: Sequence[Question], folder: Path) -> Answers:
    script = [word for each in questions for word in ("-c", each.line(folder))]
    done = subprocess.run(
        [*GDBTOOLS, *words, "--json", *script], capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode in (0, 1), done.stderr
    return by_command(done.stdout.splitlines())


def at_a_live_prompt(qemu: Qemu, questions: Sequence[Question], folder: Path) -> Answers:
    return at_a_prompt(("attach", f"unix:{qemu.gdbstub}", "--elf", str(GUEST)), questions, folder)


def by_mcp(words: Sequence[str], questions: Sequence[Question], folder: Path) -> Answers:
    async def talk(client: Any) -> list[str]:
        lines: list[str] = []
        for each in questions:
            answer = await client.call_tool(each.name, each.arguments(folder))
            assert not answer.is_error, answer.content[0].text
            lines += [content.text for content in answer.content]
        return lines

    return by_command(with_client((*words, "--allow-writes", "--elf", str(GUEST)), talk))


def by_mcp_attached(qemu: Qemu, questions: Sequence[Question], folder: Path) -> Answers:
    return by_mcp(("--attach", str(qemu.gdbstub)), questions, folder)


Live = Callable[[Qemu, Sequence[Question], Path], Answers]
LIVE: Mapping[str, Live] = {
    "GDB": in_console,
    "MI": over_mi,
    "prompt": at_a_live_prompt,
    "MCP": by_mcp_attached,
}
OFFLINE = ("the command line", "prompt on a dump", "MCP on a dump")
TO_FAULT = (*TO_SCAN, "mmu catch access-flag", "continue")
"""As tests/live/session.py has it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("faces")
    (made / "faults.jsonl").touch()
    return made


@pytest.fixture(scope="module")
def dump(qemu: str, folder: Path) -> Path:
    path = folder / "at-fault.core"
    with stopped((*TO_FAULT, f"mmu capture {path} --va={SEARCHED}")):
        return path


@pytest.fixture(scope="module")
def answers(qemu: str, folder: Path, dump: Path) -> Callable[[str], Answers]:
    """Return what each face answered; each is asked once."""
    known: dict[str, Answers] = {}
    at_dump = {
        "the command line": lambda: on_the_command_line(dump, folder),
        "prompt on a dump": lambda: at_a_prompt(("open", str(dump), "--elf", str(GUEST)), READING, folder),
        "MCP on a dump": lambda: by_mcp(("-s", str(dump)), READING, folder),
    }

    def of(face: str) -> Answers:
        if face not in known:
            known[face] = joined(at_dump[face]()) if face in at_dump else of_live(LIVE[face])
        return known[face]

    def of_live(face: Live) -> Answers:
        with stopped(TO_FAULT) as qemu:
            first = face(qemu, [*READING, *CHANGING], folder)
        with stopped(TO_SCAN) as qemu:
            return joined(first, face(qemu, ELSEWHERE, folder))

    return of


def on_the_command_line(dump: Path, folder: Path) -> Answers:
    lines: list[str] = []
    for each in READING:
        name, *words = each.words(folder)
        command = [*GDBTOOLS, name, "-s", str(dump), "--elf", str(GUEST), "--json", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        assert done.returncode in (0, 1), done.stderr
        lines += done.stdout.splitlines()
    return by_command(lines)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in (*OF_RECORDINGS, *OF_KERNELS)])
@pytest.mark.parametrize("face", [face for face in (*LIVE, *OFFLINE) if face != "GDB"])
def test_each_face_gives_the_model_that_gdb_gives(answers: Callable[[str], Answers], face: str, name: str) -> None:
    asked = READING if face in OFFLINE else (*READING, *CHANGING, *ELSEWHERE)
    count = sum(each.name == name for each in asked)
    if not count:
        assert COMMANDS[name].live_only
        return
    assert answers(face)[name] == answers("GDB")[name][: len(answers(face)[name])]
    assert len(answers(face)[name]) >= count


def test_every_command_is_asked_for() -> None:
    asked = {each.name for each in (*READING, *CHANGING, *ELSEWHERE)}
    assert asked | {*OF_RECORDINGS, *OF_KERNELS} == set(COMMANDS)
    of_dumps = {name for name, command in COMMANDS.items() if not command.live_only}
    assert {*OF_KERNELS, *(each.name for each in READING)} == of_dumps
