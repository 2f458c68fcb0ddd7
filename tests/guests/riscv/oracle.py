"""The host's side of fixtures/guests/riscv/oracle: RISC-V's table walker in QEMU, asked through shared RAM."""

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

IMAGES = ROOT / "fixtures/guests/riscv/oracle"
RAM, RAM_BYTES = 0x80000000, 128 << 20
TABLES, TABLES_BYTES = 0x81000000, 32 << 20
STUB = 0x83000000
DATA, DATA_BYTES = 0x84000000, 8 << 20
MAILBOX, REQUESTS, REQUEST_BYTES = 0x80200000, 0x80201000, 128
DOORBELL, DONE, COUNT, STUB_VA, IDENTITY, REGISTERS, READ_BACK = 0x08, 0x10, 0x18, 0x20, 0x40, 0x100, 0x200
MOST_REQUESTS = 4096
PMP_ENTRIES = 8
MPRV, MPP_S, MPV = 1 << 17, 1 << 11, 1 << 39
NAPOT, NA4, TOR, RWX = 3 << 3, 2 << 3, 1 << 3, 7

RESET = ("misa", "mstatus", "vsstatus", "marchid", "stub")
"""What the guest tells of its machine as reset leaves it."""
REGISTER_NAMES = (
    "satp", "vsatp", "hgatp", "vsstatus", "hstatus", "menvcfg", "henvcfg", "senvcfg", "mseccfg", "hedeleg",
    "pmpcfg0", *(f"pmpaddr{entry}" for entry in range(PMP_ENTRIES)),
)  # fmt: skip
"""What may be given, in the mailbox's order; `pmpcfg0` has eight entries on riscv32, too."""
CPUS = {
    "7.2": "svnapot=on,svpbmt=on,svinval=on",
    # Without ssnpm and smnpm: HLV and HSV are masked otherwise than the rest, and MXR counts under MPRV only.
    "10.0": "svnapot=on,svpbmt=on,svinval=on,svade=on,svadu=on,zicfiss=on,zimop=on,zcmop=on",
    "11.1": "svnapot=on,svpbmt=on,svinval=on,svade=on,svadu=on,ssnpm=on,smnpm=on,zicfiss=on,zimop=on,zcmop=on",
}
"""Of each version of QEMU, what there is of the extensions that concern a walk."""
FOR_64_BITS = ("svnapot", "svpbmt", "ssnpm", "smnpm", "svrsw60t59b")
"""Extensions that riscv32 has no room for."""
NOTHING_RAISED = (1 << 64) - 1


class Operation(enum.IntEnum):
    """What the guest may be asked; the numbers are oracle.S's."""

    LOAD = 0
    STORE = 1
    SWAP = 2
    LOAD_RESERVED = 3
    HLV_U = 4
    HLV_S = 5
    HLVX_U = 6
    HLVX_S = 7
    HSV_U = 8
    HSV_S = 9
    JUMP = 10
    STUB_LOAD = 11
    STUB_STORE = 12
    STUB_SWAP = 13


STORES = (Operation.STORE, Operation.SWAP, Operation.HSV_U, Operation.HSV_S, Operation.STUB_STORE, Operation.STUB_SWAP)
FROM_STUB = (Operation.STUB_LOAD, Operation.STUB_STORE, Operation.STUB_SWAP)


@dataclass(frozen=True)
class Request:
    """One access: an address, how it is touched, and mstatus with MPRV, MPP, MPV, SUM and MXR."""

    va: int
    operation: Operation
    mstatus: int


@dataclass(frozen=True)
class Answer:
    """`cause` is None where nothing was raised; `value` is the word that was loaded."""

    cause: int | None
    tval: int
    tval2: int
    tinst: int
    epc: int
    status: int
    value: int


def napot(base: int, size_bytes: int) -> int:
    """Return pmpaddr of a naturally aligned range."""
    return base >> 2 | (size_bytes >> 3) - 1


def known_as(version: str) -> str:
    """Return the newest version of `CPUS` that is no newer."""
    numbers = {each: tuple(map(int, each.split("."))) for each in CPUS}
    found = [each for each in CPUS if numbers[each] <= tuple(map(int, version.split(".")))]
    return found[-1] if found else next(iter(CPUS))


def word_at(pa: int) -> int:
    """Return what the data pages hold at `pa`: where it is, as a major opcode that nobody has."""
    return (pa - DATA) // 4 << 7 | 0x6B


class RiscvOracle(SharedRam):
    """A running oracle guest of 64 or 32 bits; leave the `with` block and it is gone."""

    ram_base = RAM
    ram_bytes = RAM_BYTES
    _layout: ClassVar[struct.Struct] = struct.Struct("<16Q")

    def __init__(self, qemu: Qemu, bits: int, cpu: str | None = None) -> None:
        self.qemu = qemu
        self.bits = bits
        self.version = ".".join(qemu.version.split(".")[:2])
        extensions = CPUS[known_as(self.version)].split(",")
        if bits == 32:
            extensions = [each for each in extensions if each.split("=")[0] not in FOR_64_BITS]
        self.cpu = cpu or ",".join([f"rv{bits}", *extensions])

    def __enter__(self) -> RiscvOracle:
        shape = ["-M", "virt", "-bios", "none", "-cpu", self.cpu]
        self.start(self.qemu.command, shape, IMAGES / f"oracle{self.bits}.elf")
        # Once and never again: TCG does not see code that is written from outside.
        words = range(word_at(DATA), word_at(DATA + DATA_BYTES), word_at(4) - word_at(0))
        self.write(DATA, array("I", words).tobytes())
        self._sequence = 0
        self.wait(lambda: self.read(MAILBOX, 8) == b"RVoracle", "the guest did not come up")
        self.reset = {name: self.word(MAILBOX + IDENTITY + 8 * at) for at, name in enumerate(RESET)}
        assert self.reset["stub"] == STUB
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def set(self, registers: Mapping[str, int]) -> dict[str, int]:
        """Write these registers, the others being 0, and return what all of them then read as."""
        unknown = registers.keys() - set(REGISTER_NAMES)
        assert not unknown, f"the guest does not set {sorted(unknown)}"
        self._registers = dict(registers)
        self._ring(())
        at = MAILBOX + READ_BACK
        return {name: self.word(at + 8 * index) for index, name in enumerate(REGISTER_NAMES)}

    def ask(self, requests: Sequence[Request], stub_va: tuple[int, int] = (0, 0)) -> list[Answer]:
        """Put a batch of requests to the hardware under the registers that were set last."""
        answers = []
        for first in range(0, len(requests), MOST_REQUESTS):
            answers += self._ring(requests[first : first + MOST_REQUESTS], stub_va)
        return answers

    def _ring(self, requests: Sequence[Request], stub_va: tuple[int, int] = (0, 0)) -> list[Answer]:
        values = [self._registers.get(name, 0) for name in REGISTER_NAMES]
        self.write(MAILBOX + REGISTERS, struct.pack(f"<{len(values)}Q", *values))
        self.write(MAILBOX + COUNT, struct.pack("<3Q", len(requests), *stub_va))
        batch = (self._layout.pack(r.va, r.operation, r.mstatus, *[0] * 13) for r in requests)
        self.write(REQUESTS, b"".join(batch))
        self._sequence += 1
        self.write(MAILBOX + DOORBELL, struct.pack("<Q", self._sequence))
        self.wait(lambda: self.word(MAILBOX + DONE) == self._sequence, "the guest does not answer", nap=0.0001)
        raw = self.read(REQUESTS, len(requests) * REQUEST_BYTES)
        nothing = NOTHING_RAISED >> (64 - self.bits)
        return [
            Answer(None if cause == nothing else cause, *rest)
            for _, _, _, _, cause, *rest, _, _, _, _, _ in self._layout.iter_unpack(raw)
        ]
