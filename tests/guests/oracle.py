"""The host's side of fixtures/guests/oracle: QEMU's own table walker, asked through shared RAM."""

from __future__ import annotations

import enum
import mmap
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gdbtools.repl.children import DIES_WITH_PARENT, QEMU

IMAGE = Path(__file__).resolve().parents[2] / "fixtures/guests/oracle/oracle.elf"
RAM, RAM_BYTES = 0x40000000, 256 << 20
TABLES, TABLES_BYTES = 0x48000000, 16 << 20
DATA, DATA_BYTES = 0x4C000000, 32 << 20
MAILBOX, REQUESTS, REQUEST_BYTES = 0x40200000, 0x40201000, 64
DOORBELL, DONE, COUNT, REGISTERS, IDENTITY, STUB_PA = 0x08, 0x10, 0x18, 0x20, 0x100, 0x120
REGISTER_NAMES = ("SCTLR_EL1", "TCR_EL1", "TTBR0_EL1", "TTBR1_EL1", "MAIR_EL1", "HCR_EL2", "VTCR_EL2", "VTTBR_EL2")
IDENTITY_NAMES = ("ID_AA64MMFR0_EL1", "ID_AA64MMFR1_EL1", "ID_AA64MMFR2_EL1")
HCR_RW = 1 << 31
VTCR_RES1 = 1 << 31
BRK = (0xD4200000).to_bytes(4, "little")


class Operation(enum.IntEnum):
    """What the guest may be asked; the numbers are oracle.S's."""

    AT_S1E1R = 0
    AT_S1E1W = 1
    AT_S1E0R = 2
    AT_S1E0W = 3
    AT_S1E1RP = 4
    AT_S1E1WP = 5
    LOAD_EL1 = 16
    STORE_EL1 = 17
    FETCH_EL1 = 18
    LOAD_EL0 = 19
    STORE_EL0 = 20
    FETCH_EL0 = 21
    LDTR_EL1 = 24
    STTR_EL1 = 25


class Outcome(enum.IntEnum):
    COMPLETED = 0
    TAKEN_TO_EL1 = 1
    TAKEN_TO_EL2 = 2


@dataclass(frozen=True)
class Request:
    va: int
    operation: Operation
    pstate: int = 0


@dataclass(frozen=True)
class Answer:
    """`syndrome` is PAR_EL1 for an AT, ESR for a real access."""

    outcome: Outcome
    syndrome: int
    far: int
    elr: int


class Oracle:
    """A running oracle guest; leave the `with` block and it is gone."""

    _layout: ClassVar[struct.Struct] = struct.Struct("<8Q")

    def __init__(self, cpu: str) -> None:
        self.cpu = cpu

    def __enter__(self) -> Oracle:
        self._folder = tempfile.TemporaryDirectory(prefix="gdbtools-oracle-")
        path = Path(self._folder.name) / "ram"
        with path.open("wb") as file:
            file.truncate(RAM_BYTES)
        with path.open("r+b") as file:
            self.ram = mmap.mmap(file.fileno(), RAM_BYTES)
        backend = f"memory-backend-file,id=ram,size={RAM_BYTES},mem-path={path},share=on"
        shape = ["-M", "virt,virtualization=on", "-cpu", self.cpu, "-m", "256M", "-object", backend]
        shape += ["-machine", "memory-backend=ram", "-nic", "none", "-display", "none", "-serial", "null"]
        command = [*DIES_WITH_PARENT, QEMU, *shape, "-monitor", "none", "-kernel", str(IMAGE)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self._sequence = 0
        self._wait(lambda: self.read(MAILBOX, 8) == b"AToracle", "the guest did not come up")
        # Once and never again: TCG does not see code that is written from outside.
        at = DATA - RAM
        self.ram[at : at + DATA_BYTES] = BRK * (DATA_BYTES // 4)
        self.identity = {name: self.word(MAILBOX + IDENTITY + 8 * i) for i, name in enumerate(IDENTITY_NAMES)}
        self.stub_pa = self.word(MAILBOX + STUB_PA)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self.ram.close()
        self._folder.cleanup()

    def _wait(self, ready, otherwise: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            assert self._process.poll() is None, "QEMU has ended"
            assert time.monotonic() < deadline, otherwise

    def read(self, pa: int, size_bytes: int) -> bytes:
        return self.ram[pa - RAM : pa - RAM + size_bytes]

    def word(self, pa: int) -> int:
        return int.from_bytes(self.read(pa, 8), "little")

    def write(self, pa: int, data: bytes) -> None:
        self.ram[pa - RAM : pa - RAM + len(data)] = data

    def ask(self, registers: dict[str, int], requests: Sequence[Request], stub_va: int = 0) -> list[Answer]:
        """Put a batch of requests to the hardware under these registers."""
        given = {"HCR_EL2": HCR_RW, "VTCR_EL2": VTCR_RES1, "VTTBR_EL2": 0, **registers}
        values = [given[name] for name in REGISTER_NAMES]
        self.write(MAILBOX + REGISTERS, struct.pack("<9Q", *values, stub_va))
        self.write(MAILBOX + COUNT, struct.pack("<Q", len(requests)))
        batch = (self._layout.pack(r.va, r.operation, r.pstate, 0, 0, 0, 0, 0) for r in requests)
        self.write(REQUESTS, b"".join(batch))
        self._sequence += 1
        self.write(MAILBOX + DOORBELL, struct.pack("<Q", self._sequence))
        self._wait(lambda: self.word(MAILBOX + DONE) == self._sequence, "the guest does not answer: stub unmapped?")
        raw = self.read(REQUESTS, len(requests) * REQUEST_BYTES)
        return [Answer(Outcome(o), s, f, e) for _, _, _, o, s, f, e, _ in self._layout.iter_unpack(raw)]


def missing() -> str:
    """Say why the oracle cannot be asked; empty when it can."""
    if shutil.which(QEMU) is None:
        return f"{QEMU} is not installed: apt-get install qemu-system-arm"
    return ""
