"""QEMU and GDB end with whoever started them, however that one ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu
from gdbtools.errors import Unavailable
from tests.live.session import GUEST
from tests.places import ROOT
from tests.processes import SECONDS, alive, gone_within

pytestmark = pytest.mark.guest

PARENT = """
import sys, time
from pathlib import Path
from gdbtools.children.processes import Qemu
from gdbtools.children.mi import Gdb
with Qemu(Path(sys.argv[1])) as qemu, Gdb(sys.argv[2]) as gdb:
    print(qemu.pid, gdb.pid, flush=True)
    time.sleep(600)
"""


def test_both_die_with_a_parent_that_is_killed(qemu: str, gdb_path: str) -> None:
    command = [sys.executable, "-c", PARENT, str(GUEST), gdb_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        try:
            assert parent.stdout is not None
            pids = [int(each) for each in parent.stdout.readline().split()]
            assert len(pids) == 2
            assert all(alive(pid) for pid in pids)
        finally:
            parent.kill()
    assert gone_within(SECONDS, *pids)


def test_both_are_gone_after_their_block(qemu: str, gdb_path: str) -> None:
    with Qemu(GUEST) as guest, Gdb(gdb_path) as gdb:
        pids, folder = (guest.pid, gdb.pid), guest.gdbstub.parent
        gdb.run(f"target remote {guest.gdbstub}")
        assert gdb.alive()
    assert gone_within(SECONDS, *pids)
    assert not folder.exists()


def test_both_are_gone_after_an_error_in_their_block(qemu: str, gdb_path: str) -> None:
    pids: list[int] = []

    def fail() -> None:
        with Qemu(GUEST) as guest, Gdb(gdb_path) as gdb:
            pids.extend((guest.pid, gdb.pid))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert gone_within(SECONDS, *pids)


def test_gdb_is_gone_although_it_waits_for_a_guest(qemu: str, gdb_path: str) -> None:
    with Qemu(GUEST) as guest:
        with Gdb(gdb_path) as gdb:
            pid = gdb.pid
            gdb.run(f"target remote {guest.gdbstub}")
            # A jump to itself: the guest never stops.
            gdb.run("set var *(int *)$pc = 0x14000000")
            with pytest.raises(Unavailable, match="GDB did not answer"):
                gdb.run("continue", seconds=1)
        assert gone_within(SECONDS, pid)
        assert alive(guest.pid)


def test_a_qemu_that_does_not_start_says_why_in_one_line(qemu: str) -> None:
    with pytest.raises(Unavailable, match=r"^QEMU did not start: .*unsupported machine type.*$"):
        Qemu(GUEST, machine="nosuch").__enter__()
