"""From `gdbtools attach` to a prompt that can be used, and from a key to its echo, on a terminal, with a real QEMU."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pexpect

from gdbtools.children.processes import Qemu, find_gdb
from gdbtools.places import gdbinit

GUEST = Path(__file__).resolve().parent.parent / "fixtures/guests/tlb/tlb.elf"
"""One that runs for ever: each GDB that leaves lets it run on."""
ROUNDS = 5
KEYS = 20
PROMPT = "(gdbtools) "


def report(smallest: bool = False) -> None:
    rounds = 1 if smallest else ROUNDS
    with Qemu(GUEST) as qemu, tempfile.TemporaryDirectory() as home:
        # As a user has it: compiled once, and no history yet.
        environment = {**os.environ, "TERM": "xterm", "HOME": home, "XDG_STATE_HOME": home}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-m", "gdbtools.cli", "attach", f"unix:{qemu.gdbstub}", "--nx"]
        gdb = [find_gdb(), "-nx", "-batch", "-ex", f"source {gdbinit()}", "-ex", f"target remote {qemu.gdbstub}"]
        subprocess.run(gdb, check=True, capture_output=True, env=environment)
        bare, usable, echo, stuck = [], [], [], []
        for _ in range(rounds):
            began = time.perf_counter()
            subprocess.run(gdb, check=True, capture_output=True, env=environment)
            bare.append(time.perf_counter() - began)
            child, seconds = _prompt(command, environment)
            usable.append(seconds)
            echo += _echoes(child)
            stopped = _gdb_below(child.pid)
            os.kill(stopped, signal.SIGSTOP)
            stuck += _echoes(child)
            os.kill(stopped, signal.SIGCONT)
            # By ourselves: pexpect gives a busy machine a tenth of a second.
            child.kill(signal.SIGKILL)
            child.wait()
            child.close()
    print(f"prompt, best of {rounds}; no memory is read but for the stop that is kept:")
    print(f"  GDB alone, from its start until it is attached   {1000 * min(bare):6.0f} ms")
    print(f"  `gdbtools attach`, until a key is echoed         {1000 * min(usable):6.0f} ms")
    print(f"  a key, until it is echoed (median)               {1000 * statistics.median(echo):6.1f} ms")
    print(f"  the same while GDB hangs (SIGSTOP)               {1000 * statistics.median(stuck):6.1f} ms")


def _prompt(command: list[str], environment: Mapping[str, str]) -> tuple[pexpect.spawn, float]:
    """Start a prompt, and give the seconds until it echoes a key."""
    began = time.perf_counter()
    child = pexpect.spawn(command[0], command[1:], env=dict(environment), dimensions=(24, 80), timeout=60)
    child.delaybeforesend = None
    child.expect_exact(PROMPT)
    child.send("w")
    child.expect_exact("w")
    return child, time.perf_counter() - began


def _echoes(child: pexpect.spawn) -> list[float]:
    found = []
    for number in range(KEYS):
        key = "xyz"[number % 3]
        began = time.perf_counter()
        child.send(key)
        child.expect_exact(key)
        found.append(time.perf_counter() - began)
    return found


def _gdb_below(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(each) for each in children if "--interpreter=mi3" in Path(f"/proc/{each}/cmdline").read_text())
