"""The host's side of fixtures/guests/x86/nested: accesses of a guest by AMD's VMRUN, in each mode of paging."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tests.guests.packages import Qemu
from tests.guests.shared_ram import SharedRam
from tests.guests.x86.oracle import (
    COUNT,
    DATA,
    DATA_BYTES,
    DONE,
    DOORBELL,
    IDENTITY,
    LEVELS,
    MAILBOX,
    MOST_REQUESTS,
    RAM_BYTES,
    REQUEST_BYTES,
    REQUESTS,
    SLOT_BYTES,
    STUB_VA,
    Request,
    slot,
)
from tests.places import ROOT

IMAGE = ROOT / "fixtures/guests/x86/nested/nested.elf"
NCR3, HOST_NXE = 0x130, 0x138
REGISTERS = 0x100
NAMES = ("cr0", "cr3", "cr4", "efer")
EXCEPTION, NESTED_PAGE_FAULT, INVALID = 0x40, 0x400, (1 << 64) - 1
"""EXITCODE of an exception, to which its vector is added; of a nested page fault; and where the VMCB is none."""
NPT_IS_THERE = 1
NXE = 1 << 11


@dataclass(frozen=True)
class Exit:
    """A VM exit as the guest's hypervisor meets it; `value` is the guest's eax."""

    code: int
    info_1: int
    info_2: int
    rip: int
    value: int


class Hypervisor(SharedRam):
    """A running guest that runs guests; leave the `with` block and it is gone."""

    ram_base = 0
    ram_bytes = RAM_BYTES
    _layout: ClassVar[struct.Struct] = struct.Struct("<8Q")

    def __init__(self, qemu: Qemu, levels: int) -> None:
        self.qemu = qemu
        self.levels = levels
        self.version = ".".join(qemu.version.split(".")[:2])

    def __enter__(self) -> Hypervisor:
        self.start(self.qemu.command, ["-M", "pc", "-cpu", "max,+svm,+npt", "-no-reboot"], IMAGE)
        self.wait(lambda: self.read(MAILBOX, 8) == b"x86walks", "the guest did not come up", nap=0.01)
        # Once and never again: TCG does not see code that is written from outside.
        self.write(DATA, b"".join(slot(pa) for pa in range(DATA, DATA + DATA_BYTES, SLOT_BYTES)))
        self.physical_bits = self.word(MAILBOX + IDENTITY) & 0xFF
        features = self.word(MAILBOX + IDENTITY + 0x28)
        self.has_nested_paging = features != 0xFFFFFFFF and bool(features & NPT_IS_THERE)
        self.write(MAILBOX + LEVELS, struct.pack("<Q", self.levels))
        self._sequence = 0
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ask(self, registers: Mapping[str, int], requests: Sequence[Request], stub_va: int) -> list[Exit]:
        """Put a batch of requests to the guest that has these registers."""
        values = [registers[name] for name in NAMES]
        self.write(MAILBOX + REGISTERS, struct.pack(f"<{len(values)}Q", *values))
        self.write(MAILBOX + NCR3, struct.pack("<2Q", registers.get("ncr3", 0), registers.get("hefer", 0) & NXE))
        answers: list[Exit] = []
        for first in range(0, len(requests), MOST_REQUESTS):
            batch = requests[first : first + MOST_REQUESTS]
            self.write(MAILBOX + COUNT, struct.pack("<Q", len(batch)))
            self.write(MAILBOX + STUB_VA, struct.pack("<Q", stub_va))
            self.write(REQUESTS, b"".join(self._layout.pack(r.va, r.operation, r.rflags, *[0] * 5) for r in batch))
            self._sequence += 1
            self.write(MAILBOX + DOORBELL, struct.pack("<Q", self._sequence))
            self.wait(lambda: self.word(MAILBOX + DONE) == self._sequence, "the guest does not answer", nap=0.0002)
            raw = self.read(REQUESTS, len(batch) * REQUEST_BYTES)
            answers += [Exit(*rest) for _, _, _, *rest in self._layout.iter_unpack(raw)]
        return answers
