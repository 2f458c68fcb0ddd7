"""A bare-metal guest that shares its RAM with the test: both read and write one file."""

from __future__ import annotations

import mmap
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gdbtools.children.processes import DIES_WITH_PARENT


class SharedRam:
    """A running guest and its RAM; leave the `with` block of whoever inherits this and it is gone."""

    ram_base: int
    ram_bytes: int

    def start(self, qemu: Sequence[str], shape: Sequence[str], image: Path) -> None:
        """Start a QEMU of this shape, its RAM a file of which this process has a mapping."""
        self._folder = tempfile.TemporaryDirectory(prefix="gdbtools-oracle-")
        self.path = path = Path(self._folder.name) / "ram"
        with path.open("wb") as file:
            file.truncate(self.ram_bytes)
        with path.open("r+b") as file:
            self.ram = mmap.mmap(file.fileno(), self.ram_bytes)
        backend = f"memory-backend-file,id=ram,size={self.ram_bytes},mem-path={path},share=on"
        memory = ["-m", f"{self.ram_bytes >> 20}M", "-object", backend, "-machine", "memory-backend=ram"]
        quiet = ["-nic", "none", "-display", "none", "-serial", "null", "-monitor", "none"]
        command = [*DIES_WITH_PARENT, *qemu, *shape, *memory, *quiet, "-kernel", str(image)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self.ram.close()
        self._folder.cleanup()

    def wait(self, ready: Callable[[], bool], otherwise: str, seconds: float = 30, nap: float = 0) -> None:
        """Wait until the guest has written what `ready` looks for, looking again after each `nap`."""
        deadline = time.monotonic() + seconds
        while not ready():
            assert self._process.poll() is None, "QEMU has ended"
            assert time.monotonic() < deadline, otherwise
            time.sleep(nap)

    def read(self, pa: int, size_bytes: int) -> bytes:
        return self.ram[pa - self.ram_base : pa - self.ram_base + size_bytes]

    def word(self, pa: int) -> int:
        return int.from_bytes(self.read(pa, 8), "little")

    def write(self, pa: int, data: bytes) -> None:
        self.ram[pa - self.ram_base : pa - self.ram_base + len(data)] = data
