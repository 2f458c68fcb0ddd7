"""The host's side of fixtures/guests/oracle: QEMU's own table walker, asked through shared RAM.

At level 2 the guest lives at EL2: EL1&0 and stage 2 are free, and accesses may be real. At level 3 it lives at EL3: the
state of EL2, or EL2&0, is free too, in either Security state, and AT is all that can be asked.
"""

from __future__ import annotations

import enum
import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gdbtools.children.processes import QEMU
from tests.guests.packages import Qemu
from tests.guests.shared_ram import SharedRam
from tests.places import ROOT

IMAGE = ROOT / "fixtures/guests/oracle/oracle.elf"
RAM, RAM_BYTES = 0x40000000, 256 << 20
TABLES, TABLES_BYTES = 0x48000000, 16 << 20
DATA, DATA_BYTES = 0x4C000000, 32 << 20
MAILBOX, REQUESTS, REQUEST_BYTES = 0x40200000, 0x40201000, 64
DOORBELL, DONE, COUNT, REGISTERS, STUB_VA, STUB_PA, MORE_REGISTERS = 0x08, 0x10, 0x18, 0x20, 0x60, 0x120, 0x200
IDENTITY = {
    "ID_AA64MMFR0_EL1": 0x100,
    "ID_AA64MMFR1_EL1": 0x108,
    "ID_AA64MMFR2_EL1": 0x110,
    "MIDR_EL1": 0x118,
    "ID_AA64PFR0_EL1": 0x128,
    "ID_AA64MMFR3_EL1": 0x130,
    "ID_AA64MMFR4_EL1": 0x138,
    "CurrentEL": 0x140,
}
MACHINES = {2: "virt,virtualization=on", 3: "virt,virtualization=on,secure=on"}

SCR_NS, SCR_RW, SCR_HCE, SCR_EEL2, SCR_HXEN = 1 << 0, 1 << 10, 1 << 8, 1 << 18, 1 << 38
SCR_TCR2EN, SCR_SCTLR2EN, SCR_PIEN, SCR_AIEN = 1 << 43, 1 << 44, 1 << 45, 1 << 46
HCRX_TCR2EN, HCRX_SCTLR2EN = 1 << 14, 1 << 15
HCR_RW = 1 << 31
VTCR_RES1 = 1 << 31

REGISTER_DEFAULTS = {
    "SCTLR_EL1": 0x30D00800,  # the MMU off; RES1 as of Armv8.0
    "TCR_EL1": 0,
    "TTBR0_EL1": 0,
    "TTBR1_EL1": 0,
    "MAIR_EL1": 0,
    "HCR_EL2": HCR_RW,
    "VTCR_EL2": VTCR_RES1,
    "VTTBR_EL2": 0,
}
"""What may be given at either level, in the mailbox's order, and what it is where it is not given."""
MORE_REGISTER_DEFAULTS = {
    "SCTLR_EL2": 0x30C50830,  # the MMU off; RES1 of HCR_EL2.E2H = 0
    "TCR_EL2": 1 << 31 | 1 << 23,  # RES1 of HCR_EL2.E2H = 0
    "TTBR0_EL2": 0,
    "TTBR1_EL2": 0,
    "MAIR_EL2": 0,
    "VSTTBR_EL2": 0,
    "VSTCR_EL2": VTCR_RES1,
    "HCRX_EL2": HCRX_TCR2EN | HCRX_SCTLR2EN,
    "TCR2_EL1": 0,
    "TCR2_EL2": 0,
    "SCTLR2_EL1": 0,
    "SCTLR2_EL2": 0,
    "PIR_EL1": 0,
    "PIRE0_EL1": 0,
    "PIR_EL2": 0,
    "PIRE0_EL2": 0,
    "S2PIR_EL2": 0,
    "POR_EL0": 0,
    "POR_EL1": 0,
    "POR_EL2": 0,
    "S2POR_EL1": 0,
    "MAIR2_EL1": 0,
    "MAIR2_EL2": 0,
    # Non-secure, EL2 in AArch64, and every extension as if there were no EL3; RES0 where the machine has it not.
    "SCR_EL3": SCR_NS | SCR_HCE | SCR_RW | SCR_HXEN | SCR_TCR2EN | SCR_SCTLR2EN | SCR_PIEN | SCR_AIEN,
}
"""What may be given at level 3 besides; the guest leaves out what its machine does not have."""
BRK = (0xD4200000).to_bytes(4, "little")


class Operation(enum.IntEnum):
    """What the guest may be asked; the numbers are oracle.S's."""

    AT_S1E1R = 0
    AT_S1E1W = 1
    AT_S1E0R = 2
    AT_S1E0W = 3
    AT_S1E1RP = 4
    AT_S1E1WP = 5
    AT_S12E1R = 6
    AT_S12E1W = 7
    AT_S12E0R = 8
    AT_S12E0W = 9
    AT_S1E2R = 10
    AT_S1E2W = 11
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
    TAKEN_TO_EL3 = 3


@dataclass(frozen=True)
class Request:
    va: int
    operation: Operation
    pstate: int = 0


@dataclass(frozen=True)
class Answer:
    """`syndrome` is PAR_EL1 for an AT that completed, else ESR of the level that the exception was taken to.

    Taken to the guest's own level with an EC of 0: no such operation there.
    """

    outcome: Outcome
    syndrome: int
    far: int
    elr: int
    hpfar: int


class Oracle(SharedRam):
    """A running oracle guest at EL2 or EL3, in the system's QEMU or another; leave the `with` block and it is gone."""

    ram_base = RAM
    ram_bytes = RAM_BYTES
    _layout: ClassVar[struct.Struct] = struct.Struct("<8Q")

    def __init__(self, cpu: str, level: int = 2, qemu: Qemu | None = None) -> None:
        self.cpu = cpu
        self.level = level
        self.qemu = qemu

    def __enter__(self) -> Oracle:
        command = self.qemu.command if self.qemu else (QEMU,)
        self.start(command, ["-M", MACHINES[self.level], "-cpu", self.cpu], IMAGE)
        self._sequence = 0
        self.wait(lambda: self.read(MAILBOX, 8) == b"AToracle", "the guest did not come up")
        # Once and never again: TCG does not see code that is written from outside.
        at = DATA - RAM
        self.ram[at : at + DATA_BYTES] = BRK * (DATA_BYTES // 4)
        self.identity = {name: self.word(MAILBOX + at) for name, at in IDENTITY.items()}
        self.stub_pa = self.word(MAILBOX + STUB_PA)
        assert self.identity["CurrentEL"] == self.level << 2, "the guest came up at another level"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, registers: dict[str, int], requests: Sequence[Request], stub_va: int = 0) -> list[Answer]:
        """Put a batch of requests to the hardware under these registers, the others at their defaults."""
        more = MORE_REGISTER_DEFAULTS if self.level == 3 else {}
        unknown = registers.keys() - REGISTER_DEFAULTS.keys() - more.keys()
        assert not unknown, f"the guest at EL{self.level} does not set {sorted(unknown)}"
        for at, defaults in ((REGISTERS, REGISTER_DEFAULTS), (MORE_REGISTERS, more)):
            values = [registers.get(name, default) for name, default in defaults.items()]
            self.write(MAILBOX + at, struct.pack(f"<{len(values)}Q", *values))
        self.write(MAILBOX + STUB_VA, struct.pack("<Q", stub_va))
        self.write(MAILBOX + COUNT, struct.pack("<Q", len(requests)))
        batch = (self._layout.pack(r.va, r.operation, r.pstate, 0, 0, 0, 0, 0) for r in requests)
        self.write(REQUESTS, b"".join(batch))
        self._sequence += 1
        self.write(MAILBOX + DOORBELL, struct.pack("<Q", self._sequence))
        self.wait(lambda: self.word(MAILBOX + DONE) == self._sequence, "the guest does not answer: stub unmapped?")
        raw = self.read(REQUESTS, len(requests) * REQUEST_BYTES)
        return [Answer(Outcome(o), *rest) for _, _, _, o, *rest in self._layout.iter_unpack(raw)]


def missing() -> str:
    """Return why the oracle cannot be asked; empty when it can."""
    if shutil.which(QEMU) is None:
        return f"{QEMU} is not installed: apt-get install qemu-system-arm"
    return ""
