"""A guest in a QEMU with a monitor and without a gdbstub, and what QEMU can be told to write of it."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gdbtools.children.processes import DIES_WITH_PARENT
from gdbtools.errors import Unavailable
from gdbtools.machine.live.qmp import Qmp, connected
from tests.guests import packages

RAM = 0x4000_0000
"""Where the virt machine's RAM starts."""
MEMORY_BYTES = 128 << 20


class Monitored(NamedTuple):
    """A QEMU with a QMP monitor at `path`, and its process number."""

    path: str
    pid: int

    @property
    def source(self) -> str:
        return f"qmp:{self.path}"

    def monitor(self):
        """Connect to it: one at a time."""
        return connected(self.path)

    def status(self) -> str:
        with self.monitor() as qmp:
            return str(qmp.ask("query-status")["status"])

    def wait(self, status: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while self.status() != status:
            assert time.monotonic() < deadline, f"the guest is {self.status()}, not {status}"
            time.sleep(0.05)


def listens(path: str) -> bool:
    """Return whether somebody takes connections there: the socket's file is there a moment before."""
    try:
        with connected(path):
            return True
    except Unavailable:
        return False


@contextmanager
def monitored(kernel: Path, cpus: int = 1, qemu: str = "system", extra: Sequence[str] = ()) -> Iterator[Monitored]:
    """A bare guest that runs, in a QEMU without a gdbstub that stays when the guest switches itself off."""
    command = packages.qemu(qemu).command
    with tempfile.TemporaryDirectory(prefix="gdbtools-dumps-") as folder:
        path = f"{folder}/qmp"
        shape = ["-M", "virt", "-cpu", "cortex-a57", "-smp", str(cpus), "-m", f"{MEMORY_BYTES >> 20}M", "-no-shutdown"]
        devices = ["-nic", "none", "-display", "none", "-serial", "null", "-monitor", "none"]
        ports = ["-qmp", f"unix:{path},server=on,wait=off"]
        words = [*DIES_WITH_PARENT, *command, *shape, *devices, *ports, "-kernel", str(kernel), *extra]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL) as process:
            try:
                deadline = time.monotonic() + 20
                while not listens(path):
                    assert process.poll() is None, "QEMU did not start"
                    assert time.monotonic() < deadline, "QEMU gives no monitor"
                    time.sleep(0.01)
                yield Monitored(path, process.pid)
            finally:
                process.kill()


def dump(qmp: Qmp, path: Path, form: str = "elf", paging: bool = False) -> Path:
    """Have QEMU dump the guest; raises `Unavailable` where this QEMU was built without that format."""
    given = {"format": form} if form != "elf" else {}
    qmp.ask("dump-guest-memory", paging=paging, protocol=f"file:{path}", **given)
    return path


def save(qmp: Qmp, path: Path, pa: int = RAM, size_bytes: int = MEMORY_BYTES) -> Path:
    """Have QEMU write physical memory as it is."""
    qmp.ask("pmemsave", val=pa, size=size_bytes, filename=str(path))
    return path
