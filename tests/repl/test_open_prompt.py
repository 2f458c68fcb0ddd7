"""The prompt on a dump, at a terminal: what is on the screen."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest

from tests.repl.conftest import Start
from tests.repl.terminal import CTRL_C, CTRL_D, CTRL_R, ENTER, ESCAPE, PROMPT, TAB, UP, Terminal
from tests.repl.wide import BASE, WHOLE, tables

SENTENCE = "last exception: EL1 execute of 0x100000120e40: access flag fault, level 3, and the tables agree:"


def test_the_toolbar_has_the_verdict_and_where_the_dump_stands(opened: Start) -> None:
    rows = opened(columns=140, lines=40).wait("Dump, ", SENTENCE, " dump  ")
    assert rows[0] == "`help` lists what can be asked; Ctrl-D leaves."
    assert rows[1] == "Dump, CPU 0 of 1, EL1, EL1&0 stage 1, pc 0x100000120e40."
    assert rows[38].strip() == f"{SENTENCE} the access flag is clear"
    assert rows[39].split("  ") == [" dump", "CPU 0", "EL1", "EL1&0 stage 1", "0x100000120e40"]


def test_a_verdict_that_does_not_fit_is_cut_and_says_so(opened: Start) -> None:
    rows = opened().until(lambda rows: rows[22].endswith("..."), "a verdict that is cut")
    assert len(rows[22]) <= 80


def test_the_same_commands_answer_as_on_the_command_line(opened: Start) -> None:
    terminal = opened(columns=120, lines=40)
    terminal.enter("fault")
    rows = terminal.wait("state   not accessed, global")
    assert rows[3].startswith(SENTENCE)
    terminal.enter("mmu walk $pc --access execute --el 0")
    terminal.wait("0x100000120e40 (EL0 execute): access flag fault, level 3")


def test_registers_fields_and_values_are_completed(opened: Start) -> None:
    terminal = opened()
    terminal.wait("Dump, ")
    terminal.type("regs tc")
    assert terminal.wait("TCR_EL1")[3].strip() == "TCR_EL1"
    terminal.type(f"{CTRL_C}walk $pc --with SCTLR_EL1.W")
    rows = terminal.wait("write implies execute-never")
    assert "as if a field of a register" in rows[-2]
    terminal.type(f"{CTRL_C}walk $pc --with TCR_EL1.TG0=")
    rows = terminal.wait("64KB")
    assert [row.split() for row in rows[3:6]] == [["0", "4KB"], ["1", "64KB"], ["2", "16KB"]]
    terminal.type(f"{CTRL_C}walk $pc --pte 0x1000.A")
    terminal.wait("AF        access flag")


def test_what_is_no_command_is_said_with_what_to_do(opened: Start) -> None:
    terminal = opened()
    said = " ".join(terminal.answered("x/i $pc"))
    assert re.search("'x' is no command of gdbtools, and .*; `help` lists them", said)
    terminal.enter("catch any")
    terminal.wait("`catch` needs a live guest, and a dump is not one: gdbtools attach")
    terminal.enter('walk "0x1000')
    terminal.wait("no closing quotation")
    terminal.enter("cpu 3")
    terminal.wait("this source has no CPU 3; it has 0")


def test_help_lists_what_can_be_asked_of_a_dump_and_explains_each(opened: Start) -> None:
    terminal = opened(lines=50)
    rows = terminal.answered("help")
    assert any("List everything that is mapped" in row for row in rows)
    assert any(row.startswith("> FILE") or "> FILE to a file" in row for row in rows)
    assert not any(row.startswith(("service ", "reconnect ")) for row in rows), "a dump has no use for them"
    for asked in ("help service", "service --help"):
        rows = terminal.answered(asked)
        said = rows[rows.index(f"{PROMPT} {asked}") :]
        assert any("usage: service" in row for row in said)
        assert any("faulting instruction. Every other exception is the guest's own and runs on" in row for row in said)
        assert max(map(len, rows)) <= 80


def test_what_was_typed_is_found_again_also_the_next_time(opened: Start, tmp_path: Path) -> None:
    first = opened()
    first.enter("esr 0x9600014b | head -1")
    first.wait("0x9600014b: ")
    first.leave()
    assert first.ended() == 0
    assert (tmp_path / "state/gdbtools/history").exists()
    second = opened()
    second.type(f"{CTRL_R}600")
    second.wait("(reverse-i-search)`600': esr 0x9600014b | head -1")
    second.type(ENTER)
    second.wait(f"{PROMPT} esr 0x9600014b | head -1")
    second.type(CTRL_C)
    second.gone("head -1")
    second.type(UP)
    second.wait(f"{PROMPT} esr 0x9600014b | head -1")


def test_the_keys_are_those_of_vi_where_readline_s_are(opened: Start, tmp_path: Path) -> None:
    (tmp_path / ".inputrc").write_text("set bell-style none\nset editing-mode vi\n")
    terminal = opened()
    terminal.wait("Dump, ")
    terminal.type("esr 0x1")
    typed = f"{PROMPT} esr 0x1"
    terminal.until(lambda rows: rows[2] == typed and terminal.cursor == (2, len(typed)), typed)
    terminal.type(ESCAPE)
    # An escape sequence begins so too: it is a key of its own when the cursor has gone back by one.
    terminal.until(lambda _: terminal.cursor == (2, len(typed) - 1), "cursor of the other mode")
    terminal.type("0dwiwalk ")
    terminal.wait(f"{PROMPT} walk 0x1")


def test_there_are_colours_and_none_where_nobody_wants_them(opened: Start) -> None:
    def colours(*options: str, **environment: str) -> set[str]:
        terminal = opened(*options, lines=40, **environment)
        terminal.answered("fault")
        terminal.wait("state   not accessed", " dump  ")
        terminal.until(lambda rows: "last exception" in rows[-2], "verdict in the toolbar")
        return set().union(*(terminal.colours(row) for row in range(40))) - {"default"}

    dark, light = colours("--theme", "dark"), colours("--theme", "light")
    assert {"red", "cyan"} <= dark
    assert {"red", "blue"} <= light
    assert not {"cyan", "brown", "yellow"} & light, "they cannot be read on white"
    assert colours(NO_COLOR="1") == set()
    assert colours("--theme", "none") == set()
    assert colours(COLORFGBG="0;15") == light


def test_the_pager_is_the_user_s(opened: Start, tmp_path: Path) -> None:
    terminal = opened(PAGER="sed -n '$=' | sed 's/^/paged: /'")
    terminal.enter("map --runs")
    terminal.wait("paged: 772")
    other = opened(PAGER="cat")
    other.enter("map --runs")
    rows = other.wait("looked at  3926 leaves")
    assert "lines" not in " ".join(rows)
    assert sum(row.startswith("0x") for row in other.above()) > 600


def test_a_map_longer_than_the_screen_is_of_areas_and_a_program_or_a_file_has_every_run(
    opened: Start, tmp_path: Path
) -> None:
    terminal = opened(lines=40, columns=110, PAGER="cat")
    terminal.enter("map")
    terminal.wait("24 areas of 762 runs of 3926 leaves")
    terminal.wait("--runs lists every run")
    terminal.enter("map | grep -c ^0x")
    terminal.wait("762")
    terminal.enter(f"map > {tmp_path / 'map.txt'}")
    terminal.enter("map 0x8000000,0x9000000")
    terminal.wait("looked at  32 leaves")
    assert (tmp_path / "map.txt").read_text().startswith("762 runs of 3926 leaves")


def scanned(start: Start, folder: Path, last_level: int) -> Terminal:
    """Return a prompt on a dump with so many tables of pages."""
    image, registers = folder / "ram.bin", folder / "registers.json"
    root = struct.pack("<512Q", BASE + 4096 | 3, *([0] * 511))
    image.write_bytes(root + tables(last_level, BASE + 4096))
    ours = {"TTBR0_EL1": f"{BASE:#x}", "TTBR1_EL1": "0x0", "TCR_EL1": "0x500803510", "SCTLR_EL1": "0x1"}
    registers.write_text(json.dumps(ours))
    return start("open", f"{image}@{BASE:#x}", "--registers", str(registers))


def test_ctrl_c_ends_a_scan(start: Start, tmp_path: Path) -> None:
    terminal = scanned(start, tmp_path, 4096)
    terminal.enter(WHOLE)
    rows = terminal.wait("MB read; Ctrl-C stops")
    assert any(row.startswith("[") and " tables, " in row for row in rows)
    terminal.type(CTRL_C)
    terminal.wait("interrupted")
    terminal.enter("walk 0 | head -1")
    terminal.wait("0x0 -> 0x0 (")


def test_ctrl_c_takes_the_line_away_and_ctrl_d_leaves(opened: Start) -> None:
    terminal = opened()
    terminal.type("walk 0x1")
    terminal.wait("walk 0x1")
    terminal.type(CTRL_C)
    terminal.gone("walk 0x1")
    terminal.leave()
    assert terminal.ended() == 0


@pytest.mark.parametrize("word", ["quit", "exit", "q"])
def test_a_word_leaves_too(opened: Start, word: str) -> None:
    terminal = opened()
    terminal.enter(word)
    assert terminal.ended() == 0
    assert terminal.reads_lines, "the terminal is as it was"


def test_a_file_s_name_is_completed(opened: Start, tmp_path: Path) -> None:
    (tmp_path / "registers-of-mine.json").touch()
    terminal = opened()
    terminal.type(f"capture {tmp_path}/regis")
    terminal.wait("registers-of-mine.json")
    terminal.type(TAB)
    terminal.until(lambda rows: "registers-of-mine.json" in "".join(rows[2:4]), "the name in the line")


def test_a_key_that_is_typed_while_a_command_is_at_work_is_the_next_lines(start: Start, tmp_path: Path) -> None:
    """Ctrl-D shows it: a terminal that puts lines together makes an end of file of it, and then a NUL."""
    terminal = scanned(start, tmp_path, 128)
    terminal.enter(f"{WHOLE} > {tmp_path / 'map.txt'}")
    terminal.type(CTRL_D, at_once=True)
    assert terminal.ended() == 0
    assert (tmp_path / "map.txt").read_text().count("\n") > 1000, "the command came to its end"
