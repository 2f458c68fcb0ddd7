"""The prompt on a guest, at a terminal, in both GDBs: what is on the screen."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.repl.conftest import Start
from tests.repl.guest import (
    FOR_EVER,
    OPENED_BY,
    TO_SCAN,
    TO_WIDE,
    child,
    gated,
    kill,
    open_gate,
    ram_of,
    script,
    slowed,
)
from tests.repl.terminal import CTRL_C, ENTER, PROMPT, TAB, Terminal
from tests.repl.wide import BASE, WHOLE, tables
from tests.transcripts import marked

pytestmark = pytest.mark.guest

VERDICT = "EL1 write of 0x600000000010: access flag fault, level 3, and the tables agree:"


def bar(rows: list[str]) -> str:
    """Return the last row: where the guest stands."""
    return rows[-1]


def until_bar(terminal: Terminal, text: str) -> list[str]:
    return terminal.until(lambda rows: text in bar(rows), f"{text!r} in the toolbar")


def to(terminal: Terminal, folder: Path, lines: tuple[str, ...], then: str = "EL1&0 stage 1") -> None:
    """Have GDB execute lines, and wait until the toolbar says where that leads."""
    terminal.enter(script(folder, lines))
    until_bar(terminal, then)


def test_the_first_screen_says_where_the_guest_stands_and_what_can_be_asked(run: Start) -> None:
    terminal = run()
    terminal.wait("Stopped, ")
    rows = until_bar(terminal, "_start>")
    assert rows[0] == "`help` lists what can be asked; everything else goes to GDB."
    assert rows[1] == "Stopped, CPU 0 of 1, EL1, MMU off, pc 0x40201768 <_start>."
    assert rows[2] == PROMPT
    assert bar(rows).split("  ") == [" stopped", "CPU 0", "EL1", "MMU off", "0x40201768 <_start>"]


def test_the_screen_in_the_docs_is_what_is_on_the_screen(run: Start, tmp_path: Path) -> None:
    terminal = run()
    to(terminal, tmp_path, TO_SCAN)
    *entered, typed = marked("prompt")
    for each in entered:
        terminal.enter(each.command)
    terminal.wait(VERDICT)
    terminal.type(typed.command)
    shown = [line for each in (*entered, typed) for line in (each.typed, *each.shown, "")]
    rows = terminal.wait("only what leads into this range", *typed.shown)
    assert [row for row in rows[rows.index(f"{PROMPT} catch access-flag") :] if row not in shown] == []


def test_commands_options_values_and_symbols_pop_up_and_tab_takes_them(run: Start) -> None:
    terminal = run()
    terminal.wait("Stopped, ")
    terminal.type("wa")
    rows = terminal.wait("watch  Stop when a mapping's descriptor changes")
    assert any("walk   Walk the translation tables" in row for row in rows)
    terminal.type("lk --ac")
    terminal.wait("--access  ask whether this access may happen")
    terminal.type(TAB)
    terminal.type(" ")
    rows = terminal.wait("read-code", "walk --access: ask whether")
    assert [row.strip() for row in rows[3:7]] == ["read", "write", "execute", "read-code"]
    assert "walk --access: ask whether this access may happen (read, write, execute, re" in rows[-2]
    terminal.type("read &clear_acc")
    terminal.wait("clear_access_flags  symbol")
    terminal.type(TAB)
    assert terminal.wait("&clear_access_flags")[2].startswith(f"{PROMPT} walk --access read &clear_access_flags")


def test_gdb_s_own_commands_are_completed_and_explained_by_gdb(run: Start) -> None:
    terminal = run()
    terminal.wait("Stopped, ")
    terminal.type("info thr")
    assert terminal.wait("threads")[3].strip() == "threads"
    terminal.type(f"{CTRL_C}hbre")
    terminal.wait("hbreak  GDB")
    terminal.type("ak")
    assert "Set a hardware assisted breakpoint." in terminal.wait("Set a hardware")[-2]


def test_a_fault_arrives_above_the_line_that_is_being_typed(run: Start, tmp_path: Path) -> None:
    terminal = run()
    to(terminal, tmp_path, gated())
    terminal.enter("continue")
    until_bar(terminal, "running")
    terminal.type("walk 0x6000")
    terminal.wait(f"{PROMPT} walk 0x6000")
    open_gate(terminal)
    terminal.wait(VERDICT)
    until_bar(terminal, "0x40200200 <vectors+512>")
    rows = terminal.wait("the access flag is clear.", f"{PROMPT} walk 0x6000")
    typed = rows.index(f"{PROMPT} walk 0x6000")
    # The serial line is another stream: what the guest wrote may come between any two lines of GDB's.
    above = [row for row in rows[:typed] if row and not row.startswith("scanned ")]
    assert above[-3:] == ["Breakpoint 3, 0x0000000040200200 in vectors ()", VERDICT, "the access flag is clear."]
    assert terminal.cursor == (typed, len(f"{PROMPT} walk 0x6000"))
    assert bar(rows).split("  ")[-1] == "0x40200200 <vectors+512>"
    terminal.type(f"00000010{ENTER}")
    terminal.wait("0x600000000010: access flag fault, level 3")


def test_ctrl_c_stops_a_guest_that_runs_and_until_then_the_last_stop_answers(run: Start) -> None:
    terminal = run()
    terminal.enter(FOR_EVER)
    terminal.enter("continue")
    rows = until_bar(terminal, "running  Ctrl-C stops it")
    assert PROMPT in rows
    terminal.enter("walk $pc")
    rows = terminal.wait(" -> 0x40201768 (the MMU is off)")
    assert any("As of the last stop" in row for row in rows)
    terminal.enter("catch any")
    terminal.wait("`catch` needs the guest stopped, and the guest is running; Ctrl-C stops it")
    terminal.enter("info breakpoints")
    terminal.wait("No breakpoints")
    terminal.type("half a line")
    terminal.wait("half a line")
    terminal.type(CTRL_C)
    until_bar(terminal, "stopped")
    rows = terminal.wait("in _start ()", "half a line")
    assert "Program received signal SIGINT, Interrupt." in rows, terminal.shown(rows)
    assert rows[rows.index("0x0000000040201768 in _start ()") + 1] == f"{PROMPT} half a line", "it is still there"


def test_ctrl_c_ends_a_scan_and_the_next_question_is_answered(run: Start, tmp_path: Path) -> None:
    wide = tmp_path / "wide.bin"
    wide.write_bytes(tables(4096))
    terminal = run("-device", f"loader,file={wide},addr={BASE:#x},force-raw=on")
    to(terminal, tmp_path, TO_WIDE)
    with slowed(terminal):
        terminal.enter(WHOLE)
        rows = terminal.wait("MB read; Ctrl-C stops")
        assert any(row.startswith("[") and " tables, " in row for row in rows)
        terminal.type(CTRL_C)
        rows = terminal.wait("interrupted")
    assert not any("Ctrl-C stops" in row for row in rows), "the progress is taken away"
    terminal.enter("walk $pc")
    terminal.wait(" -> 0x40201640 (4KB page)")
    terminal.enter("x/i $pc")
    terminal.wait("=> 0x40201640 <clear_access_flags+16>:")


def test_a_map_of_two_thousand_lines_is_paged_searched_piped_and_written(run: Start, tmp_path: Path) -> None:
    wide = tmp_path / "wide.bin"
    wide.write_bytes(tables(8))
    terminal = run("-device", f"loader,file={wide},addr={BASE:#x},force-raw=on")
    to(terminal, tmp_path, TO_WIDE)
    terminal.enter("map --runs")
    rows = terminal.wait("lines 1 to 23 of 2081")
    assert rows[0] == "2071 runs of 2282 leaves, 14.2GB."
    assert rows[2].startswith("from                 size   of  PA          EL1  EL0  memory  state")
    terminal.type(f"/0x0000200000ffe000{ENTER}")
    # At the top: what is searched for is on the screen from when it is typed.
    terminal.until(lambda rows: rows[0].startswith("0x0000200000ffe000    4KB  4KB  0x1fe000"), "row that was found")
    terminal.type("q")
    until_bar(terminal, "stopped")
    terminal.enter("map | grep -c 'rw-'")
    terminal.wait("2059")
    terminal.enter(f"map --json > {tmp_path / 'map.json'}")
    terminal.enter("status | head -1")
    terminal.wait("aarch64, CPU 0 of 1, at EL1, MMU on")
    said = json.loads((tmp_path / "map.json").read_text())
    assert (said["schema"], said["command"]) == ("gdbtools/1", "map")


def test_after_a_resize_everything_has_the_new_width(run: Start, tmp_path: Path) -> None:
    terminal = run()
    to(terminal, tmp_path, gated())
    terminal.enter("continue")
    until_bar(terminal, "running")
    open_gate(terminal)
    terminal.wait(VERDICT)
    terminal.resize(120, 40)
    # There is room for all of it now.
    whole = "the tables agree: the access flag is clear"
    terminal.until(lambda rows: "stopped" in rows[39] and whole in rows[38], f"toolbar in row 40, and {whole!r}")
    terminal.enter("fault")
    terminal.wait(f"{VERDICT} the access flag is clear.")
    terminal.resize(80, 24)
    terminal.until(lambda rows: "stopped" in rows[23] and "..." in rows[22], "toolbar in row 24, and a verdict cut")
    terminal.enter("esr 0x9600014b")
    terminal.type(" q")
    assert all(len(row) <= 80 for row in terminal.still())


def test_a_guest_that_is_killed_is_said_so_and_comes_back_with_reconnect(run: Start, tmp_path: Path) -> None:
    terminal = run()
    to(terminal, tmp_path, TO_SCAN)
    open_gate(terminal)
    kill(terminal, "qemu")
    terminal.wait("QEMU has ended (killed by SIGKILL); `reconnect` starts it again, from reset.")
    until_bar(terminal, "no guest")
    terminal.enter("walk $pc")
    terminal.wait("no guest is attached; `reconnect` attaches to")
    rows = terminal.answered("reconnect")
    assert rows.count("Stopped, CPU 0 of 1, EL1, MMU off, pc 0x40201768 <_start>.") > 0
    with ram_of(terminal).open("rb") as ram:
        ram.seek(OPENED_BY)
        assert ram.read(1) == b"\0", "what was written to the one before is not in this one's RAM"
    to(terminal, tmp_path, TO_SCAN)


def test_a_guest_that_is_killed_while_it_runs_is_said_so(run: Start) -> None:
    terminal = run()
    terminal.enter(FOR_EVER)
    terminal.enter("continue")
    until_bar(terminal, "running")
    kill(terminal, "qemu")
    terminal.wait("QEMU has ended (killed by SIGKILL)")
    terminal.enter("status")
    terminal.wait("no guest is attached; `reconnect` attaches to")
    until_bar(terminal, "no guest")


def test_a_gdb_that_is_killed_is_said_so_and_comes_back_with_reconnect(run: Start, tmp_path: Path) -> None:
    terminal = run()
    to(terminal, tmp_path, TO_SCAN)
    kill(terminal, "gdb")
    terminal.wait("GDB is gone (killed by SIGKILL); `reconnect` starts it again and attaches to the")
    until_bar(terminal, "no GDB")
    terminal.enter("bt")
    terminal.wait("GDB is gone; `reconnect` starts it again")
    terminal.enter("reconnect")
    terminal.wait("pc 0x40201640 <clear_access_flags+16>.")
    until_bar(terminal, "EL1&0 stage 1")
    terminal.type("\x1b[A\x1b[A")
    terminal.until(lambda rows: rows[terminal.cursor[0]] == f"{PROMPT} bt", "line that was typed before")


def test_a_gdb_that_is_killed_at_a_question_takes_only_the_answer_with_it(run: Start, tmp_path: Path) -> None:
    wide = tmp_path / "wide.bin"
    wide.write_bytes(tables(4096))
    terminal = run("-device", f"loader,file={wide},addr={BASE:#x},force-raw=on")
    to(terminal, tmp_path, TO_WIDE)
    with slowed(terminal):
        terminal.enter(WHOLE)
        terminal.wait("MB read; Ctrl-C stops")
    kill(terminal, "gdb")
    terminal.wait("GDB went before it answered")
    until_bar(terminal, "no GDB")


def test_ctrl_c_while_a_stop_is_kept_ends_that_and_the_guest_goes_on_all_the_same(run: Start, tmp_path: Path) -> None:
    wide = tmp_path / "wide.bin"
    wide.write_bytes(tables(4096))
    terminal = run("-device", f"loader,file={wide},addr={BASE:#x},force-raw=on")
    to(terminal, tmp_path, (*TO_WIDE, FOR_EVER))
    with slowed(terminal):
        terminal.enter("continue")
        terminal.wait("MB read; Ctrl-C stops")
        terminal.type(CTRL_C)
        terminal.wait("Interrupted: this stop is not kept. The guest goes on; Ctrl-C stops it.")
    until_bar(terminal, "running  Ctrl-C stops it")
    terminal.enter("fault")
    terminal.wait("nothing was kept of the last stop, and the guest is running; Ctrl-C stops it")
    terminal.type(CTRL_C)
    until_bar(terminal, "stopped")


def test_keys_are_echoed_while_gdb_hangs(run: Start) -> None:
    terminal = run()
    gdb = child(terminal, "gdb")
    os.kill(gdb, signal.SIGSTOP)
    try:
        terminal.type("walk &clear")
        terminal.wait(f"{PROMPT} walk &clear")
        terminal.type("_access")
        terminal.wait(f"{PROMPT} walk &clear_access")
    finally:
        os.kill(gdb, signal.SIGCONT)
    terminal.wait("clear_access_flags  symbol")


def test_gdb_is_there_as_it_is(run: Start, tmp_path: Path) -> None:
    terminal = run()
    to(terminal, tmp_path, TO_SCAN)
    terminal.enter("x/2i $pc")
    terminal.wait("=> 0x40201640 <clear_access_flags+16>:")
    terminal.enter("")
    terminal.wait("   0x40201648 <clear_access_flags+24>:")
    terminal.enter("stepi")
    terminal.wait("0x0000000040201644 in clear_access_flags ()")
    terminal.enter("")
    terminal.wait("0x0000000040201648 in clear_access_flags ()")
    terminal.enter("gdb watch *(int *)0x40204000")
    terminal.wait("atchpoint 2: *(int *)0x40204000")
    terminal.enter("nosuch")
    terminal.wait('Undefined command: "nosuch".')
    rows = terminal.prompted()
    assert sum("nosuch" in row for row in rows) == 2, terminal.shown(rows)
    terminal.enter("python")
    terminal.wait("         >")
    terminal.enter("for each in range(3):")
    terminal.enter("    print('line', each)")
    terminal.enter("end")
    terminal.wait("line 2")


def test_a_service_goes_on_behind_the_prompt_until_ctrl_c(run: Start, tmp_path: Path) -> None:
    terminal = run()
    to(terminal, tmp_path, (*TO_SCAN, "set var *(long *)&rounds = 100000"))
    terminal.enter("service")
    rows = until_bar(terminal, "busy  Ctrl-C ends it")
    terminal.enter("walk $pc")
    terminal.printed("As of the last stop")
    terminal.enter("x/i $pc")
    terminal.printed("GDB is at a command that runs the guest; Ctrl-C ends it")
    terminal.type(CTRL_C)
    rows = terminal.wait("Ended: interrupted.")
    assert any("access-flag faults repaired" in row for row in (*terminal.above(), *rows))
    until_bar(terminal, "stopped")


def test_a_fixup_shows_what_it_did_and_then_the_guest_goes_on(run: Start, tmp_path: Path) -> None:
    terminal = run()
    to(terminal, tmp_path, (*TO_SCAN, "mmu catch access-flag", "continue"))
    terminal.enter("fixup --resume")
    terminal.wait("Set the access flag of the level 3 descriptor at PA 0x40211000.")
    terminal.wait("EL1 read of 0x600000001010: access flag fault, level 3, and the tables agree:")


def test_leaving_ends_what_was_started_and_nothing_stays(run: Start) -> None:
    terminal = run()
    pids = child(terminal, "qemu"), child(terminal, "gdb")
    folder = Path("/proc/self").parent / str(pids[0]) / "cmdline"
    sockets = [word for word in folder.read_text().split("\0") if word.startswith("unix:")]
    terminal.leave()
    assert terminal.ended() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert sockets
    assert not any(Path(word.removeprefix("unix:").partition(",")[0]).parent.exists() for word in sockets)
