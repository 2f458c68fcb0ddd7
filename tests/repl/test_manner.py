"""Completion, the toolbar, colours and keys, without a terminal: what they are made of."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document as Typed
from prompt_toolkit.history import FileHistory, InMemoryHistory

from gdbtools.arch import ARCHITECTURES
from gdbtools.commands import COMMANDS
from gdbtools.machine.sources import opened
from gdbtools.machine.symbols import Symbols
from gdbtools.render.text import DARK, LIGHT
from gdbtools.repl.events import News
from gdbtools.repl.opened import Opened
from gdbtools.repl.redirect import pager
from gdbtools.repl.session import Doing, State
from gdbtools.repl.terminal.completion import WordCompleter, at, hint, leaf_fields
from gdbtools.repl.terminal.prompt import history, likes_vi
from gdbtools.repl.terminal.themes import theme_for
from gdbtools.repl.terminal.toolbar import toolbar
from tests.live.session import GUEST, symbol
from tests.places import ROOT

CAPTURE = ROOT / "fixtures/captures/access-flag.core"


def completions(line: str) -> list[str]:
    """Return what completes a line on the demo's capture, with its symbols."""
    heard: list[News] = []

    async def asked() -> list[str]:
        session = Opened(heard.append, CAPTURE.name, GUEST, lambda: opened(str(CAPTURE)))
        await session.open()
        await session.look()
        found = WordCompleter(session).get_completions_async(Typed(line), CompleteEvent(text_inserted=True))
        return [line[: len(line) + each.start_position] + each.text async for each in found]

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("wa", ["walk", "watch"]),
        ("mmu wa", ["mmu walk", "mmu watch"]),
        ("rec", ["reconnect"]),
        ("help clear", ["help clear-af"]),
        ("cpu ", ["cpu 0"]),
        ("walk 0 --acc", ["walk 0 --access"]),
        ("walk 0 --access w", ["walk 0 --access write"]),
        ("catch a", ["catch access-flag", "catch any"]),
        ("regs tcr_el1", ["regs TCR_EL1"]),
        ("regs TTBR0_EL1 MAIR_EL1", ["regs TTBR0_EL1 MAIR_EL1"]),
        # A capture of a CPU without EL2 and EL3 has none of their registers.
        ("regs TTBR0", ["regs TTBR0_EL1"]),
        ("walk $VBAR", ["walk $VBAR_EL1"]),
        ("map --with SCTLR_EL1.WX", ["map --with SCTLR_EL1.WXN="]),
        ("map --with HCR_EL2.TG", ["map --with HCR_EL2.TGE="]),
        ("pte 0x1000 PX", ["pte 0x1000 PXN=", "pte 0x1000 PXNTable="]),
        ("tlbi al", ["tlbi all"]),
        ("walk clear_acc", ["walk clear_access_flags"]),
        ("walk &clear_acc", ["walk &clear_access_flags"]),
        ("map cpu_mai", ["map cpu_main"]),
        ("walk $p", ["walk $pc"]),
        ("walk 0x1", []),
        ("", []),
        ("map | gre", []),
    ],
)
def test_a_line_is_completed_as_the_declarations_have_it(line: str, found: list[str]) -> None:
    if "PXNTable=" in "".join(found):
        found = found[:1]
    assert [each for each in completions(line) if each.startswith(line[:1])] == found


def test_a_value_is_completed_by_the_encodings_that_have_a_name() -> None:
    assert completions("map --with TCR_EL1.TG0=") == [f"map --with TCR_EL1.TG0={number}" for number in (0, 1, 2)]


@pytest.mark.parametrize(
    ("line", "argument"),
    [
        ("walk ", "address"),
        ("walk 0x1 ", "address"),
        ("walk --access ", "--access"),
        ("walk --access read ", "address"),
        ("pte ", "address"),
        ("pte 0x1 ", "change"),
        ("pte 0x1 AF=1 ", "change"),
        ("pte --level 3 0x1 ", "change"),
        ("regs ", "name"),
        ("capture ", "file"),
    ],
)
def test_the_cursor_is_known_to_be_at_an_argument(line: str, argument: str) -> None:
    cursor = at(line)
    assert cursor is not None
    assert cursor.argument is not None
    assert cursor.argument.name == argument


@pytest.mark.parametrize("line", ["walk --", "status ", "capture file ", "fault "])
def test_where_no_argument_can_be_there_is_none(line: str) -> None:
    cursor = at(line)
    assert cursor is not None
    assert cursor.argument is None


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_each_of_its_options_is_explained_while_it_is_typed(name: str) -> None:
    assert COMMANDS[name].summary in hint(name)
    for argument in COMMANDS[name].arguments:
        if argument.is_option:
            assert argument.help in hint(f"{name} {argument.name}")


def test_every_field_of_a_leaf_is_known_by_name() -> None:
    assert {"AF", "AP", "SH", "PXN", "UXN", "S2AP", "DBM"} <= set(leaf_fields(ARCHITECTURES["aarch64"]))


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_the_toolbar_is_two_lines_of_the_terminal_s_width(columns: int) -> None:
    state = State(Doing.STOPPED, 1, 4, "EL1", "0x40200200 <vectors+512>", "EL1&0 stage 1", "verdict " * 20, "an entry")
    lines = toolbar(state, state.verdict, columns).split("\n")
    assert [len(line) for line in lines] == [columns, columns]
    assert lines[0].rstrip().endswith("...")
    assert lines[1].startswith(" stopped  CPU 1 of 4"[:columns].rstrip()[: columns - 5])


def test_symbols_are_those_of_the_file_and_an_address_is_said_by_them() -> None:
    symbols = Symbols(GUEST)
    assert "clear_access_flags" in symbols.beginning("clear_acc")
    assert symbols.place(symbol("vectors")) == "0x40200000 <vectors>"
    assert symbols.place(symbol("vectors") + 512) == "0x40200200 <vectors+512>"
    assert Symbols(None).place(0x1000) == "0x1000"


@pytest.mark.parametrize(
    ("wanted", "environment", "palette"),
    [
        (None, {"TERM": "xterm"}, DARK),
        ("light", {"TERM": "xterm"}, LIGHT),
        (None, {"TERM": "xterm", "COLORFGBG": "0;15"}, LIGHT),
        (None, {"TERM": "xterm", "COLORFGBG": "15;0"}, DARK),
        ("dark", {"TERM": "xterm", "COLORFGBG": "0;15"}, DARK),
        ("dark", {"TERM": "xterm", "NO_COLOR": "1"}, {}),
        ("light", {"TERM": "dumb"}, {}),
        (None, {}, {}),
        ("none", {"TERM": "xterm"}, {}),
    ],
)
def test_the_colours_are_those_that_suit_the_terminal(wanted, environment, palette) -> None:
    assert theme_for(wanted, environment).palette == palette


@pytest.mark.parametrize(
    ("keys", "inputrc", "vi"),
    [
        (None, "set editing-mode vi", True),
        (None, "set editing-mode vi\nset editing-mode emacs\n", False),
        (None, "# set editing-mode vi", False),
        (None, None, False),
        ("vi", None, True),
        ("emacs", "set editing-mode vi", False),
    ],
)
def test_the_keys_are_those_asked_for_or_readline_s(tmp_path: Path, keys, inputrc, vi: bool) -> None:
    if inputrc is not None:
        (tmp_path / ".inputrc").write_text(inputrc)
    assert likes_vi(keys, {"HOME": str(tmp_path)}) is vi


def test_the_history_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    kept = history({"HOME": str(tmp_path)})
    assert isinstance(kept, FileHistory)
    path = tmp_path / ".local/state/gdbtools/history"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_without_a_place_for_it_the_history_is_of_this_time_only(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    assert isinstance(history({"XDG_STATE_HOME": str(tmp_path / "state")}), InMemoryHistory)


def test_the_pager_is_the_user_s_or_less() -> None:
    assert pager({"PAGER": "more -d"}, 100) == ("sh", "-c", "more -d")
    assert pager({"PAGER": "cat"}, 100) == ()
    assert pager({"PAGER": ""}, 100) == ()
    assert pager({}, 2077)[:2] in (("less", "-RSXF"), ())
