"""Stubs that lack what QEMU's has, or fail in the middle: one line that says what to do, and physical mode off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.live.fake_stub import Stub
from tests.live.session import CAPTURE, Session, gdb_session

FAR, LEAF_TABLE = 0x600000000010, 0x40210000
NEED_TABLES = [f"walk {FAR:#x}", "fault", "fixup", "fixup --resume"]


@contextmanager
def on_a_stub(gdb_path: str, folder: Path, **options: Any) -> Iterator[tuple[Session, Stub]]:
    with Stub(folder / "stub", CAPTURE, **options) as stub, gdb_session(gdb_path) as session:
        session.say(f"target remote {stub.path}")
        yield session, stub


def test_a_stub_that_has_everything_tells_the_recorded_fault(gdb_path: str, tmp_path: Path) -> None:
    with on_a_stub(gdb_path, tmp_path) as (session, stub):
        (answer,) = session.ask("fault")
        assert answer["verdict"] == "tables agree"
        assert answer["walk"]["steps"][-1]["descriptor_address"] == "0x0000000040211000"
        assert stub.modes == [True, False]


def test_without_system_registers_it_is_said_which_is_missing(gdb_path: str, tmp_path: Path) -> None:
    with on_a_stub(gdb_path, tmp_path, system_registers=False) as (session, stub):
        assert "this stub does not expose them" in session.say("mmu status")
        for command in (*NEED_TABLES, "regs tcr", "esr", "catch any"):
            assert "this gdbstub does not give" in session.refusal(f"mmu {command}")
        assert not stub.mode
        assert "Data Abort" in session.say("mmu esr 0x9600004b")


def test_without_physical_memory_mode_it_is_said_what_to_use(gdb_path: str, tmp_path: Path) -> None:
    with on_a_stub(gdb_path, tmp_path, physical_mode=False) as (session, stub):
        assert "this gdbstub has no physical memory mode" in session.say("mmu status")
        for command in NEED_TABLES:
            assert "use QEMU 4.1 or later" in session.refusal(f"mmu {command}")
        assert "use QEMU 4.1 or later" in session.ask("service")[0]["ended"]
        assert session.ask("regs esr")[0]["value"] == "0x000000009600004b"
        assert stub.reads == []


def test_a_table_that_cannot_be_read_is_named_and_the_mode_is_off(gdb_path: str, tmp_path: Path) -> None:
    with on_a_stub(gdb_path, tmp_path, unreadable=frozenset({LEAF_TABLE})) as (session, stub):
        for command in NEED_TABLES:
            assert f"at physical address {LEAF_TABLE:#x}" in session.refusal(f"mmu {command}")
            assert not stub.mode
        assert f"at physical address {LEAF_TABLE:#x}" in session.ask("service")[0]["ended"]
        assert not stub.mode
        assert LEAF_TABLE in stub.reads


def test_tables_are_asked_for_together(gdb_path: str, tmp_path: Path) -> None:
    """Two packets are a table; all tables that one leads to are fetched in a round trip, or as many as it may have."""
    with on_a_stub(gdb_path, tmp_path) as (session, stub):
        (answer,) = session.ask("map")
        tables = answer["looked_at"]["tables"]
        assert (sum(stub.together), len(set(stub.reads))) == (2 * tables, 2 * tables)
        assert len(stub.together) < tables
        assert not stub.mode


def test_a_table_that_cannot_be_fetched_takes_no_other_with_it(gdb_path: str, tmp_path: Path) -> None:
    with on_a_stub(gdb_path, tmp_path) as (session, _):
        (whole,) = session.ask("map")
    (tmp_path / "other").mkdir()
    with on_a_stub(gdb_path, tmp_path / "other", unreadable=frozenset({LEAF_TABLE})) as (session, stub):
        (answer,) = session.ask("map")
        assert [each["table_address"] for each in answer["unreadable"]] == [f"{LEAF_TABLE:#018x}"]
        # But for the one table that it leads to.
        assert answer["looked_at"]["tables"] == whole["looked_at"]["tables"] - 1
        assert not stub.mode


def test_a_capture_counts_the_tables_that_it_could_not_read(gdb_path: str, tmp_path: Path) -> None:
    with on_a_stub(gdb_path, tmp_path, unreadable=frozenset({LEAF_TABLE})) as (session, stub):
        (answer,) = session.ask(f"capture {tmp_path / 'core'}")
        assert answer["unreadable_tables"] == 1
        assert not stub.mode


@pytest.mark.parametrize("read", [1, 2, 3])
def test_a_connection_that_drops_in_the_middle_of_a_walk_is_one_line(gdb_path: str, tmp_path: Path, read: int) -> None:
    with on_a_stub(gdb_path, tmp_path, drop_at=read) as (session, stub):
        assert session.refusal(f"mmu walk {FAR:#x}")
        assert "nothing is attached" in session.refusal("mmu status")
        assert len(stub.reads) == read


def test_a_connection_that_drops_while_tables_are_fetched_is_one_line(gdb_path: str, tmp_path: Path) -> None:
    with on_a_stub(gdb_path, tmp_path, drop_at=9) as (session, stub):
        assert "the connection to the gdbstub broke" in session.refusal("mmu map")
        assert session.refusal("mmu map")
        assert len(stub.reads) == 9


def test_another_connection_starts_afresh(gdb_path: str, tmp_path: Path) -> None:
    """What was learned of one stub is not believed of the next."""
    (tmp_path / "other").mkdir()
    with (
        on_a_stub(gdb_path, tmp_path, physical_mode=False) as (session, _),
        Stub(tmp_path / "other" / "stub", CAPTURE) as other,
    ):
        session.refusal("mmu fault")
        session.say("disconnect")
        session.say(f"target remote {other.path}")
        assert session.ask("fault")[0]["verdict"] == "tables agree"
        assert not other.mode


def test_another_architecture_is_named(gdb_path: str, tmp_path: Path) -> None:
    with on_a_stub(gdb_path, tmp_path, architecture="s390:64-bit") as (session, _):
        said = session.refusal("mmu status")
        assert "GDB takes the guest for s390:64-bit" in said
        assert "set architecture" not in said
        assert "only aarch64, riscv64, riscv32, x86_64 and aarch32 are decoded" in session.refusal("mmu walk 0")


def test_a_stub_of_a_program_is_told_from_a_machines(gdb_path: str, tmp_path: Path) -> None:
    with on_a_stub(gdb_path, tmp_path, serves_a_program=True) as (session, _):
        assert "this stub serves a program, as QEMU's user mode" in session.refusal("mmu status")


@pytest.mark.parametrize(("command", "read"), [(f"walk {FAR:#x}", 3), ("map", 1), ("fixup", 3), ("capture CORE", 1)])
def test_nothing_is_said_on_answers_that_are_other_questions(
    gdb_path: str, tmp_path: Path, command: str, read: int
) -> None:
    """GDB asks again after `remotetimeout`, and from then on takes each answer for the next question's."""
    (tmp_path / "other").mkdir()
    core = tmp_path / "core"
    with (
        on_a_stub(gdb_path, tmp_path, late_at=read) as (session, stub),
        Stub(tmp_path / "other" / "stub", CAPTURE) as other,
    ):
        session.say("set remotetimeout 1")
        for each in (command, "regs esr", "status"):
            assert "disconnect, and attach again" in session.refusal(f"mmu {each.replace('CORE', str(core))}")
        assert not core.exists()
        assert stub.writes == []
        session.say("disconnect")
        session.say("set remotetimeout 60")
        session.say(f"target remote {other.path}")
        assert session.ask("fault")[0]["verdict"] == "tables agree"


def test_physical_mode_left_on_by_another_connection_is_put_right_when_attached(gdb_path: str, tmp_path: Path) -> None:
    with Stub(tmp_path / "stub", CAPTURE) as stub, gdb_session(gdb_path) as session:
        stub.mode = True
        assert "was left in physical memory mode" in session.say(f"target remote {stub.path}")
        assert not stub.mode
        assert session.ask("fault")[0]["verdict"] == "tables agree"
