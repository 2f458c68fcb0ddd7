"""What is not ours reaches a terminal only as what is drawn there: every string of every source, in every face."""

from __future__ import annotations

import io
import json
import re
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from gdbtools.children.debugger import Printed
from gdbtools.cli import main
from gdbtools.printable import in_a_line, tame, visible
from gdbtools.render.text import DARK
from gdbtools.repl.runner import Runner
from gdbtools.repl.session import Doing, State
from gdbtools.repl.terminal.screen import Screen
from gdbtools.repl.terminal.toolbar import toolbar
from tests.live.conftest import shared_fault as shared_fault
from tests.live.session import Live
from tests.machine.dumps.formats import Segment, note, status, vmcore
from tests.machine.dumps.hostile import PA, REGISTERS, chain

HOSTILE = "\x1b]0;owned\x07\x1b[6n\x9b2J\x7f\x00\u202e\u2066\u2028\ud800x\r\n"
"""A title, a question, a screen that is cleared, text that is turned around, half a pair, and a second line."""
ON_DISK = HOSTILE.replace("\0", "").replace("\ud800", "")
CONTROLS = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def acts(text: str) -> list[str]:
    """Return the characters of an output that do more than to be drawn."""
    return [each for each in text if unicodedata.category(each) in CONTROLS and each != "\n"]


@pytest.fixture
def sources(tmp_path: Path) -> Callable[[str], list[str]]:
    """Return a way to write a capture with one of its strings hostile, and the words that have it read."""

    def made(field: str) -> list[str]:
        registers = {name: hex(value) for name, value in REGISTERS.items()}
        registers |= {f"REGISTER{HOSTILE}": "0x1"} if field == "register" else {}
        body: dict[str, object] = {"version": 1, "architecture": "aarch64", "current": 0}
        body |= {"architecture": HOSTILE} if field == "architecture" else {}
        body |= {"assumed": [HOSTILE]} if field == "assumed" else {}
        body |= {"dirty_convention": HOSTILE} if field == "dirty" else {}
        body |= {"cpus": [{"registers": {} if field == "vmcoreinfo" else registers}]}
        info = "".join(f"{key}={HOSTILE}\n" for key in ("OSRELEASE", "PAGESIZE", "NUMBER(VA_BITS)", HOSTILE))
        written = info.encode(errors="surrogatepass") if field == "vmcoreinfo" else b"PAGESIZE=4096\n"
        notes = note(b"CORE", 1, status(pc=0x8000_0200)) + note(b"gdbtools", 0x4D4D55, json.dumps(body).encode())
        notes += note(b"VMCOREINFO", 0, written)
        path = tmp_path / (ON_DISK if field == "file" else "dump")
        path.write_bytes(vmcore([Segment(PA, chain())], notes))
        words = ["-s", str(path)]
        given = tmp_path / "registers.json"
        if field == "registers.json name":
            given.write_text(json.dumps({f"TCR{HOSTILE}": "0x1"}))
            words += ["--registers", str(given)]
        if field == "registers.json assumed":
            given.write_text(json.dumps({"TCR_EL1": "0x1", "assumed": [HOSTILE]}))
            words += ["--registers", str(given)]
        if field == "symbol":
            words += ["--elf", str(elf(tmp_path / "elf"))]
        return words

    return made


def elf(path: Path) -> Path:
    """Write an ELF file with one symbol, whose name is hostile, where the guest's pc is."""
    names = b"\0" + ON_DISK.encode() + b"\0"
    symbols = bytes(24) + struct.pack("<IBBHQQ", 1, 2, 0, 1, 0x8000_0200, 4)
    body = names + symbols
    section = struct.Struct("<IIQQQQIIQQ")
    headers = section.pack(*[0] * 10)
    headers += section.pack(0, 3, 0, 0, 64, len(names), 0, 0, 1, 0)
    headers += section.pack(0, 2, 0, 0, 64 + len(names), len(symbols), 1, 1, 8, 24)
    start = b"\x7fELF\x02\x01\x01" + bytes(9)
    start += struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, 3, 1)
    path.write_bytes(start + body + headers)
    return path


WORDS = {
    "walk": ["0x1000"], "regs": [], "syndrome": [], "map": [], "fault": [], "status": [], "report": ["0x1000"],
    "find-roots": [],
}  # fmt: skip
SHOWN = ("architecture", "assumed", "file", "registers.json name", "registers.json assumed")
FIELDS = (*SHOWN, "vmcoreinfo", "register", "dirty", "symbol")


@pytest.mark.parametrize("field", FIELDS)
def test_no_string_of_a_source_acts_on_the_terminal(
    field: str, sources: Callable[[str], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    given = sources(field)
    seen = ""
    for name, words in WORDS.items():
        for form in ([], ["--json"], ["--html"]):
            main([name, *words, *given, *form])
            captured = capsys.readouterr()
            said = captured.out + captured.err
            assert not acts(said), (name, form)
            seen += said
    for wrong in (["walk", f"{ON_DISK}y"], ["regs", HOSTILE], ["diff", HOSTILE], ["map", "--size", HOSTILE]):
        assert main([*wrong, *given]) > 1
        captured = capsys.readouterr()
        assert not acts(captured.out + captured.err), wrong
        assert len(captured.err.splitlines()) == 1
    assert field not in SHOWN or "owned" in seen, "it was shown, written out"


def test_no_string_of_a_log_acts_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"time": 0.1, "seconds": 0.1, "cpu": 0, "pc": "0x1", "symbol": HOSTILE, "va": "0x2", "access": HOSTILE}
    said |= {"level": 3, "verdict": HOSTILE, "before": "0x3", "after": None, "around": 0}
    path = tmp_path / "log"
    path.write_text(json.dumps(said) + "\n")
    for form in ([], ["--json"], ["--html"]):
        assert main(["trace", str(path), *form]) == 0
        captured = capsys.readouterr()
        assert "owned" in captured.out
        assert not acts(captured.out + captured.err)


def test_the_toolbar_and_the_lines_above_the_prompt_are_tame() -> None:
    state = State(Doing.STOPPED, 0, 1, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    assert not acts(toolbar(state, HOSTILE, 200))
    stream = io.StringIO()
    runner = Runner(Screen(DARK, stream), interactive=True)
    for is_error in (False, True):
        runner.hear(Printed(f"{HOSTILE}[ok] \x1b[31mred\x1b[0m\n", is_error))
    shown = stream.getvalue()
    assert not acts(re.sub(r"\x1b\[[0-9;]*m", "", shown))
    assert "\x1b[31mred\x1b[0m" in shown, "colours pass"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\r\nb\tc\n", "a\nb\tc\n"),
        ("\x1b[32mgreen", "\x1b[32mgreen\x1b[0m"),
        ("10%\r20%\r30%\n", "30%\n"),
        ("\x1b[6n\x1b[2J\x1b[1;1H\x1b]0;t\x07\x1b]52;c;eA==\x1b\\\x1bP1$r\x1b\\\x1b(Bx", "x"),
        ("\x1b]0;no end", "\\x1b]0;no end"),
        ("\x9d0;t\x9c\x9b6nx", "x"),
        ("\b\x1b", "\\x08\\x1b"),
        ("\u202edcba", "\\u202edcba"),
        ("caf\u00e9 \u6f22\u3000", "caf\u00e9 \u6f22\u3000"),
    ],
)
def test_of_a_console_lines_and_colours_are_left(said: str, shown: str) -> None:
    assert tame(said) == shown


def test_what_would_act_is_written_out_and_all_else_stays() -> None:
    assert visible(HOSTILE[:10]) == "\\x1b]0;owned\\x07"
    assert in_a_line("a\n b\x1b[") == "a b\\x1b["
    every = "".join(map(chr, range(0x20000)))
    assert not acts(visible(every))
    assert visible("\u6f22\u5b57 \u00a0\u00e9") == "\u6f22\u5b57 \u00a0\u00e9"


@pytest.fixture
def hostile_capture(sources: Callable[[str], list[str]]) -> str:
    return sources("assumed")[1]


@pytest.mark.guest
def test_inside_gdb_too(shared_fault: Live, hostile_capture: str) -> None:
    assert not acts(shared_fault.gdb.run(f"mmu diff {hostile_capture}").text)
    refused = shared_fault.gdb.run('mmu regs "\x1b]0;owned\x07"')
    assert "owned" in refused.error
    assert not acts(refused.error.strip())
