"""Guests whose life is recorded and replayed, and one whose hardware sets the access flags."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import DIES_WITH_PARENT, Qemu, find_qemu
from gdbtools.machine.symbols import symbol_values
from tests.live.session import INIT, INSIDE, STORM, Live

SNAPSHOTS_BYTES = 256 << 20
MOVK_X0_32, IPS_40_BITS, HA = 0xF2C00000, 2, 1 << 39 - 32
"""In the storm guest: `movk x0, #imm, lsl #32` puts the upper half of TCR_EL1 together."""


def with_hardware_flags(folder: Path) -> Path:
    """Return a storm guest that asks its hardware to set access flags (TCR_EL1.HA): one instruction is another."""
    image = bytearray(STORM.read_bytes())
    before, after = ((MOVK_X0_32 | imm << 5).to_bytes(4, "little") for imm in (IPS_40_BITS, IPS_40_BITS | HA))
    assert image.count(before) == 1, "there is one such instruction"
    at = image.index(before)
    image[at : at + 4] = after
    made = folder / "storm-ha.elf"
    made.write_bytes(image)
    assert symbol_values(made) == symbol_values(STORM)
    return made


@dataclass(frozen=True)
class Recording:
    """What a guest did, in a folder; `snapshots`: there is one of its beginning, to go back to."""

    guest: Path
    folder: Path
    cpu: str = "cortex-a57"
    snapshots: bool = True
    machine: str = "virt"
    program: Sequence[str] = ()
    others: Sequence[str] = ()

    def options(self, mode: str) -> Sequence[str]:
        icount = f"shift=auto,rr={mode},rrfile={self.folder / 'recording'}"
        if not self.snapshots:
            return (*self.others, "-icount", icount)
        drive = f"file={self.folder / 'snapshots'},if=none,id=snapshots"
        return (*self.others, "-icount", f"{icount},rrsnapshot=start", "-drive", drive)

    def _qemu(self, mode: str) -> Qemu:
        options = self.options(mode)
        return Qemu(self.guest, cpu=self.cpu, machine=self.machine, program=self.program, extra=options)

    def make(self, seconds: float | None = None) -> Recording:
        """Record the guest until it ends by itself, or for some seconds."""
        if self.snapshots:
            _qcow2(self.folder / "snapshots")
        with replace(self._qemu("record"), stopped=False) as qemu:
            if seconds is None:
                assert qemu.wait(120)
            else:
                time.sleep(seconds)
                os.kill(qemu.pid, signal.SIGTERM)
                assert qemu.wait(60)
        return self

    @contextmanager
    def replayed(self, gdb_path: str, mode: str = "replay") -> Iterator[Live]:
        """GDB on the guest at the beginning of its recording."""
        with self._qemu(mode) as qemu, Gdb(gdb_path, INIT) as gdb:
            live = Live(gdb, qemu)
            live.say(f"source {INSIDE}")
            live.say(f"file {self.guest}")
            live.say(f"target remote {qemu.gdbstub}")
            yield live


def _qcow2(path: Path) -> None:
    """Make an empty image that holds snapshots, by QEMU itself: `qemu-img` is in another package."""
    command = [*DIES_WITH_PARENT, find_qemu(), "-M", "none", "-display", "none", "-S", "-qmp", "stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(execute: str, done: str, **arguments: Any) -> None:
            process.stdin.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            while done not in (line := process.stdout.readline()):  # type: ignore[union-attr]
                assert line, f"QEMU ended at {execute}"
                assert '"error"' not in line, line

        file = {"driver": "file", "filename": str(path)}
        ask("qmp_capabilities", '"return"')
        ask("blockdev-create", '"concluded"', **{"job-id": "file", "options": {**file, "size": 0}})
        ask("blockdev-add", '"return"', **file, **{"node-name": "file"})
        options = {"driver": "qcow2", "file": "file", "size": SNAPSHOTS_BYTES}
        ask("blockdev-create", '"concluded"', **{"job-id": "image", "options": options})
        ask("quit", '"return"')
