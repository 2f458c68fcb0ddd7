"""The host's side of fixtures/guests/arm/oracle: AArch32's table walker in QEMU, asked through shared RAM."""

from __future__ import annotations

import enum
import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tests.guests.packages import Qemu
from tests.guests.shared_ram import SharedRam
from tests.places import ROOT

IMAGE = ROOT / "fixtures/guests/arm/oracle/oracle.elf"
RAM, RAM_BYTES = 0x40000000, 128 << 20
TABLES, TABLES_BYTES = 0x41000000, 16 << 20
DATA, DATA_BYTES = 0x44000000, 32 << 20
STUB = 0x40100000
MAILBOX, REQUESTS, REQUEST_BYTES = 0x40200000, 0x40201000, 32
DOORBELL, DONE, COUNT, REGISTERS, READ_BACK, IDENTITY = 0x08, 0x0C, 0x10, 0x20, 0x60, 0x100
MOST_REQUESTS = 4096
_REGISTERS = "<5I2Q"
REGISTER_NAMES = ("SCTLR", "TTBCR", "DACR", "MAIR0", "MAIR1")
"""What is given in 32 bits, in the mailbox's order; TTBR0 and TTBR1 follow, of 64 each."""
HYP_REGISTERS, _HYP_REGISTERS = 0x200, "<2IQ4IQ"
HYP_REGISTER_NAMES = ("HCR", "VTCR", "VTTBR", "HSCTLR", "HTCR", "HMAIR0", "HMAIR1", "HTTBR")
"""What is given of Hyp mode's, in the mailbox's order; 0 where it is not given."""
IDENTITIES = ("ID_MMFR0", "ID_MMFR3", "MIDR")
VECTOR_TAKEN, COMPLETED = 0x100, 0x200
UNDEFINED, SVC, PREFETCH_ABORT, DATA_ABORT = (VECTOR_TAKEN + n for n in range(1, 5))
FIRST_PAGE = 0x1000
"""The number of the HVC that the first page of data has, above those of the stub."""
PAN = 1 << 22


class Operation(enum.IntEnum):
    """What the guest may be asked; the numbers are oracle.S's."""

    ATS12NSOPR = 0
    ATS12NSOPW = 1
    ATS12NSOUR = 2
    ATS12NSOUW = 3
    ATS1HR = 4
    ATS1HW = 5
    LOAD_PL1 = 6
    STORE_PL1 = 7
    FETCH_PL1 = 8
    LOAD_PL0 = 9
    STORE_PL0 = 10
    FETCH_PL0 = 11
    LDRT_PL1 = 12
    STRT_PL1 = 13

    @property
    def is_translation(self) -> bool:
        return self < Operation.LOAD_PL1


STORES = (
    Operation.ATS12NSOPW, Operation.ATS12NSOUW, Operation.ATS1HW, Operation.STORE_PL1, Operation.STORE_PL0,
    Operation.STRT_PL1,
)  # fmt: skip
FETCHES = (Operation.FETCH_PL1, Operation.FETCH_PL0)
BY_USER = (
    Operation.ATS12NSOUR, Operation.ATS12NSOUW, Operation.LOAD_PL0, Operation.STORE_PL0, Operation.FETCH_PL0,
)  # fmt: skip
BY_HYP = (Operation.ATS1HR, Operation.ATS1HW)
UNPRIVILEGED = (Operation.LDRT_PL1, Operation.STRT_PL1)


@dataclass(frozen=True)
class Request:
    """One question: an address, how it is touched, and the bits of CPSR besides the mode."""

    va: int
    operation: Operation
    state: int = 0


@dataclass(frozen=True)
class Answer:
    """As the guest leaves it: see oracle.S."""

    outcome: int
    status: int
    address: int
    value: int
    hsr: int


def word_of(page: int) -> int:
    """Return what every word of a data page is: an HVC with its number."""
    number = page + FIRST_PAGE
    return 0xE1400070 | number >> 4 << 8 | number & 0xF


def page_of(word: int) -> int | None:
    """Return the address of the data page that has a word; None for one that none has."""
    number = (word >> 8 & 0xFFF) << 4 | word & 0xF
    return DATA + (number - FIRST_PAGE << 12) if word == word_of(number - FIRST_PAGE) else None


class ArmOracle(SharedRam):
    """A running oracle guest; leave the `with` block and it is gone."""

    ram_base = RAM
    ram_bytes = RAM_BYTES
    _layout: ClassVar[struct.Struct] = struct.Struct("<8I")

    def __init__(self, qemu: Qemu, cpu: str) -> None:
        self.qemu = qemu
        self.cpu = cpu
        self.version = ".".join(qemu.version.split(".")[:2])

    def __enter__(self) -> ArmOracle:
        self.start(self.qemu.command, ["-M", "virt,virtualization=on", "-cpu", self.cpu], IMAGE)
        # Once and never again: TCG does not see code that is written from outside.
        for page in range(DATA_BYTES >> 12):
            self.write(DATA + (page << 12), array("I", [word_of(page)] * 1024).tobytes())
        self._sequence = 0
        self.wait(lambda: self.read(MAILBOX, 8) == b"A32walks", "the guest did not come up")
        self.identity = {name: self.half(MAILBOX + IDENTITY + 4 * at) for at, name in enumerate(IDENTITIES)}
        assert self.half(MAILBOX + IDENTITY + 4 * len(IDENTITIES)) == STUB
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def half(self, pa: int) -> int:
        """Return the 32 bits at an address."""
        return int.from_bytes(self.read(pa, 4), "little")

    def set(self, registers: Mapping[str, int], stub_va: tuple[int, int]) -> dict[str, int]:
        """Write these registers and return what they then read as, with those that never change."""
        narrow = [registers.get(name, 0) for name in REGISTER_NAMES]
        packed = struct.pack(_REGISTERS, *narrow, registers.get("TTBR0", 0), registers.get("TTBR1", 0))
        self.write(MAILBOX + REGISTERS, packed)
        of_hyp = [registers.get(name, 0) for name in HYP_REGISTER_NAMES]
        self.write(MAILBOX + HYP_REGISTERS, struct.pack(_HYP_REGISTERS, *of_hyp))
        self.write(MAILBOX + COUNT + 4, struct.pack("<2I", *stub_va))
        self._ring(b"")
        found = struct.unpack(_REGISTERS, self.read(MAILBOX + READ_BACK, len(packed)))
        return {**dict(zip((*REGISTER_NAMES, "TTBR0", "TTBR1"), found, strict=True)), **self.identity}

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """Put requests to the hardware under the registers that were set last."""
        assert len(requests) <= MOST_REQUESTS
        raw = self._ring(b"".join(self._layout.pack(r.va, r.operation, r.state, *[0] * 5) for r in requests))
        return [Answer(*each[3:]) for each in self._layout.iter_unpack(raw)]

    def _ring(self, requests: bytes) -> bytes:
        self.write(MAILBOX + COUNT, struct.pack("<I", len(requests) // REQUEST_BYTES))
        self.write(REQUESTS, requests)
        self._sequence += 1
        self.write(MAILBOX + DOORBELL, struct.pack("<I", self._sequence))
        self.wait(lambda: self.half(MAILBOX + DONE) == self._sequence, "the guest does not answer", nap=0.0001)
        return self.read(REQUESTS, len(requests))
