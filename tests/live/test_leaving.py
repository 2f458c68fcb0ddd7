"""A GDB that has used gdbtools ends as any other, and a QEMU that does not answer holds nobody for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from gdbtools.children.processes import Qemu
from tests.live.ctrl_c import has_begun, wait_until_begun
from tests.live.session import GUEST, INIT, Leaf, Live

pytestmark = pytest.mark.guest

PAGE = Leaf(4, 1 << 44, 3)
TO_SCAN = ("hbreak clear_access_flags", "continue", "delete")


@pytest.mark.parametrize(
    "lines",
    [
        ("mmu catch access-flag", "delete 2"),
        ("mmu catch access-flag", "mmu catch permission", "delete"),
        ("mmu service --count 1",),
        (f"mmu working-set {PAGE.va:#x} --interval 0.2",),
        ("mmu catch access-flag", "continue", "mmu fixup --resume"),
    ],
    ids=["catch and delete one", "catch and delete all", "service", "working-set", "resume"],
)
def test_gdb_in_batch_mode_ends_with_its_own_status(qemu: str, gdb_path: str, lines: tuple[str, ...]) -> None:
    with Qemu(GUEST) as guest:
        commands = [f"source {INIT}", f"target remote {guest.gdbstub}", *TO_SCAN, *lines]
        words = [word for line in commands for word in ("-ex", line)]
        done = subprocess.run(
            [gdb_path, "-nx", "-batch", str(GUEST), *words],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip
    assert (done.returncode, "Fatal signal" in done.stderr) == (0, False), done.stderr
    assert "Python Exception" not in done.stderr


@pytest.mark.parametrize("way", ["past GDB", "by GDB"])
def test_ctrl_c_ends_a_service_whose_qemu_does_not_answer(at_scan: Live, way: str) -> None:
    live = at_scan
    if way == "by GDB":
        # Its stops come once, so that a service leaves them to GDB.
        live.say("watch *(long *)&rounds")
    live.say("set var *(int *)$pc = 0x14000000")
    child = os.fork()
    if not child:
        wait_until_begun(live.gdb.pid)
        runs(live.qemu.pid)
        os.kill(live.qemu.pid, signal.SIGSTOP)
        # The second one counts that comes a second after the first has been told to the stub, whenever that is.
        while has_begun(live.gdb.pid):
            os.kill(live.gdb.pid, signal.SIGINT)
            time.sleep(1.5)
        os._exit(0)
    try:
        reply = live.gdb.run("mmu service --json")
    finally:
        os.waitpid(child, 0)
        os.kill(live.qemu.pid, signal.SIGCONT)
    assert "QEMU does not answer" in reply.text, (reply.text, reply.error)
    assert "nothing is attached" in live.refusal("mmu status")


def runs(pid: int) -> None:
    """Wait until a guest that does nothing but run has run for a while."""
    before = used(pid)
    while used(pid) < before + 0.3:
        time.sleep(0.05)


def used(pid: int) -> float:
    """Return the seconds of CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
