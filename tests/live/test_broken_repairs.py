"""A QEMU that is killed, a connection that drops, somebody else at the tables: at every single packet of a repair.

Whatever happens, the error is one line, and each descriptor is whole: as it was, as it was to be, or invalid.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gdbtools.children.mi import Gdb
from tests.live.session import INIT, gdb_session
from tests.live.tlb import PAGE_A, PAGE_B, PAGE_D, Tlb, on_the_loop

pytestmark = pytest.mark.guest

RAM = 0x40000000
VALID, READ_ONLY, SOFTWARE = 1, 1 << 7, 1 << 58
REPAIRS = {
    "in place": f"pte {PAGE_A:#x} AP=3",
    "invalidated": f"pte {PAGE_A:#x} AP=3 --tlbi",
    "break-before-make": f"pte {PAGE_A:#x} AP=3 --break",
    "a range": f"clear-af {PAGE_A:#x},{PAGE_D + 1:#x} --tlbi",
}


@pytest.fixture
def gdb(qemu: str, gdb_path: str) -> Iterator[Gdb]:
    with Gdb(gdb_path, INIT) as gdb:
        yield gdb


@contextmanager
def on_a_file(gdb: Gdb, ram: Path) -> Iterator[Tlb]:
    backend = f"memory-backend-file,id=ram,size=128M,mem-path={ram},share=on"
    with on_the_loop(gdb, extra=("-object", backend, "-machine", "memory-backend=ram")) as live:
        yield live


def entry(ram: Path, pa: int) -> int:
    """Return a descriptor as the guest's memory has it, whoever lives."""
    with ram.open("rb") as stream:
        stream.seek(pa - RAM)
        return int.from_bytes(stream.read(8), "little")


def packets(live: Tlb, command: str) -> int:
    """Return how many packets of ours a command takes, and take it back."""
    live.inside("from_now_on(0, None)")
    live.ask(command)
    count = int(live.inside("packets_sent()"))
    live.ask("undo")
    return count


def spread(count: int, at_most: int) -> list[int]:
    """Return the numbers of packets to try: all, or so many of them."""
    step = max(1, -(-count // at_most))
    return sorted({*range(1, count + 1, step), count})


@pytest.mark.parametrize("repair", REPAIRS)
def test_a_killed_qemu_leaves_whole_descriptors_and_one_line(gdb: Gdb, tmp_path: Path, repair: str) -> None:
    command, ram = REPAIRS[repair], tmp_path / "ram"
    with on_a_file(gdb, ram) as live:
        count = packets(live, command)
        places = {page: live.leaf(page) for page in (PAGE_A, PAGE_B, PAGE_D)}
        (planned,) = live.ask(f"{command} --dry-run")
        changes = planned.get("changes", [planned])
    allowed = {
        int(each["descriptor_address"], 16): {int(each["before"], 16), int(each["after"], 16)} for each in changes
    }
    seen = set()
    for number in spread(count, 12):
        with on_a_file(gdb, ram) as live:
            live.inside(f"kill_at({number}, {live.qemu.pid})")
            said = live.refusal(f"mmu {command}")
            assert "onnection" in said, said
            assert "nothing is attached" in live.refusal("mmu status")
        for pa, either in allowed.items():
            found = entry(ram, pa)
            broken = {value & ~VALID for value in either} if "--break" in command else set()
            assert found in either | broken, f"packet {number}: {found:#x}"
            seen.add(found)
        assert set(allowed) <= set(places.values()) or repair == "a range"
    assert len(seen) > 1, "some were killed before and some after the write"


@pytest.mark.parametrize("repair", REPAIRS)
def test_after_a_dropped_connection_undo_restores_every_byte(gdb: Gdb, tmp_path: Path, repair: str) -> None:
    command = REPAIRS[repair]
    with on_a_file(gdb, tmp_path / "ram") as live:
        count, before = packets(live, command), live.image()
        pc = live.value("$pc")
        # One less than were counted: what the stub can do is asked for by an earlier command of each connection.
        for number in spread(count - 1, 25):
            live.inside(f"drop_at({number})")
            said = live.refusal(f"mmu {command}")
            assert "onnection" in said, said
            live.inside("from_now_on(0, None)")
            live.say(f"target remote {live.qemu.gdbstub}")
            if live.value("$pc") != pc:
                assert f"they were pc = {pc:#x}" in said
                live.say(f"set $pc = {pc}")
            left = live.ask("status")[0]["abilities"]["written so far"]
            if left != "0 descriptors":
                live.ask("undo --all")
            assert live.image() == before, f"packet {number}"
            assert live.physical_mode() == "0"


@pytest.mark.parametrize("repair", REPAIRS)
def test_what_somebody_else_writes_meanwhile_is_noticed(gdb: Gdb, tmp_path: Path, repair: str) -> None:
    """A stub has no compare-and-exchange: only what comes just before the packet of a write itself is overwritten."""
    command, ram = REPAIRS[repair], tmp_path / "ram"
    with on_a_file(gdb, ram) as live:
        count, at = packets(live, command), live.leaf(PAGE_A)
        mine = entry(ram, at)
        theirs = mine | SOFTWARE
        lost = refused = 0
        for number in spread(count - 1, 40):
            live.inside(f"poke_at({number}, {str(ram)!r}, {at - RAM}, {theirs})")
            reply = live.gdb.run(f"mmu {command}")
            live.inside("from_now_on(0, None)")
            found = entry(ram, at)
            if reply.error:
                refused += 1
                assert len(reply.error.splitlines()) == 1
                assert f"the descriptor at PA {at:#x} is" in reply.error
                assert found == theirs, f"packet {number}: {found:#x}"
            elif not found & SOFTWARE:
                lost += 1
            while live.ask("status")[0]["abilities"]["written so far"] != "0 descriptors":
                undo = live.gdb.run("mmu undo")
                if undo.error:
                    assert "somebody changed it since" in undo.error
                    live.poke(at, int(undo.error.split("neither ")[1].split()[0], 16))
            live.poke(at, mine)
            live.ask("tlbi")
        assert refused >= 1
        assert lost <= (2 if "--break" in command else 1), "as many as it has writes"


def test_a_second_debugger_gets_no_hold_and_the_first_goes_on(gdb: Gdb, gdb_path: str, tmp_path: Path) -> None:
    with on_a_file(gdb, tmp_path / "ram") as live, gdb_session(gdb_path) as second:
        before = live.image()
        live.ask(f"pte {PAGE_A:#x} AP=3 --tlbi")
        second.say("set remotetimeout 1")
        assert second.gdb.run(f"target remote {live.qemu.gdbstub}").error
        assert "nothing is attached" in second.refusal("mmu status")
        assert live.entry(PAGE_A) & READ_ONLY
        live.ask("undo")
        assert live.image() == before
