"""QEMU and GDB as children: found, started, and ended with their parent."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from gdbtools.arch import ARCHITECTURES
from gdbtools.errors import Unavailable
from gdbtools.machine.live.process import listens

if TYPE_CHECKING:
    from typing_extensions import Self

FIRST: Final = ARCHITECTURES.identities[0]
QEMU: Final = FIRST.emulator.program
GDBS: Final = ("gdb-multiarch", *(name for each in ARCHITECTURES.identities for name in each.debuggers))
"""GDBs that know what is decoded here: one that knows all, and those of one architecture each."""
# SIGKILL to the child when its parent dies, even by SIGKILL; util-linux, which is on every Debian and Ubuntu.
DIES_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")
START_SECONDS: Final = 60
"""How long a QEMU that lives may be without a gdbstub: a fraction of a second, but where much else is done."""

# What is set for the Python that runs this is not for the one inside GDB: with warnings as errors GDB 13's own modules
# cannot be imported, and another Python's home is none of its.
_PYTHONS = ("HOME", "PLATLIBDIR", "EXECUTABLE", "WARNINGS", "DEVMODE", "OPTIMIZE", "INSPECT")
WITH_ITS_OWN_PYTHON = ("env", *(word for name in _PYTHONS for word in ("-u", f"PYTHON{name}")))


def find_qemu() -> str:
    """Return QEMU's path, or raise `Unavailable` with the package to install."""
    return find_program(QEMU, FIRST.emulator.package)


def find_program(name: str, package: str) -> str:
    """Return a program's path, or raise `Unavailable` with the package to install."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed; on Debian and Ubuntu: apt-get install {package}")
    return found


def find_gdb(asked: str = "") -> str:
    """Return a GDB that knows what is decoded here: the one asked for, the system's, or this Python's environment's.

    Raises `Unavailable` where there is none, and for one that was asked for and is no program.
    """
    if asked:
        named = shutil.which(asked)
        if named is None:
            raise Unavailable(f"{asked} is no program that can be run; name a GDB: --gdb {GDBS[0]}")
        return named
    inside = Path(sys.prefix) / "bin" / "gdb"
    for each in (*GDBS, str(inside)):
        found = shutil.which(each)
        if found is not None:
            return found
    raise Unavailable("gdb-multiarch is not installed; on Debian and Ubuntu: apt-get install gdb-multiarch")


def ended_how(status: int | None) -> str:
    """Return how a process ended, from its exit status as `subprocess` gives it."""
    if status is not None and status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


@dataclass
class Qemu:
    """A QEMU with its gdbstub on a unix socket and its serial port in a file, both in a temporary folder of its own.

    With `stopped`, it waits at reset.  Leave the `with` block and it is gone.  `program` is another than the system's.
    """

    kernel: Path
    cpus: int = 1
    cpu: str = FIRST.emulator.cpu
    stopped: bool = True
    extra: Sequence[str] = ()
    machine: str = FIRST.emulator.machine
    program: Sequence[str] = ()
    _folder: tempfile.TemporaryDirectory[str] = field(init=False, repr=False)
    _process: subprocess.Popen[bytes] = field(init=False, repr=False)

    def __enter__(self) -> Self:
        qemu = self.program or (find_qemu(),)
        self._folder = tempfile.TemporaryDirectory(prefix="gdbtools-")
        gdbstub = ["-gdb", f"unix:{self.gdbstub},server=on,wait=off", *(["-S"] if self.stopped else [])]
        devices = ["-nic", "none", "-display", "none", "-monitor", "none", "-serial", f"file:{self._serial}"]
        shape = ["-M", self.machine, "-cpu", self.cpu, "-smp", str(self.cpus), "-m", "128M"]
        command = [*DIES_WITH_PARENT, *qemu, *shape, *devices, "-kernel", str(self.kernel), *gdbstub, *self.extra]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + START_SECONDS
        while not listens(self.gdbstub) and self._process.poll() != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                assert self._process.stderr is not None
                self._process.kill()
                said = " ".join(self._process.stderr.read().decode(errors="replace").split())
                self.__exit__(None, None, None)
                raise Unavailable(f"QEMU did not start: {said or f'no gdbstub after {START_SECONDS} s'}")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._folder.cleanup()

    @property
    def gdbstub(self) -> Path:
        return Path(self._folder.name) / "gdb"

    @property
    def _serial(self) -> Path:
        return Path(self._folder.name) / "serial"

    @property
    def pid(self) -> int:
        return self._process.pid

    def output(self) -> str:
        """Return what the guest has printed so far."""
        return self._serial.read_text(errors="replace") if self._serial.exists() else ""

    def wait(self, seconds: float) -> bool:
        """Wait until QEMU has ended; False if it has not within `seconds`."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True
