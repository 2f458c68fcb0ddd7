"""The host's side of fixtures/guests/x86/oracle: the table walker of x86-64 in QEMU, asked through shared RAM."""

from __future__ import annotations

import enum
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.guests.packages import Qemu
from tests.guests.shared_ram import SharedRam
from tests.places import ROOT

IMAGE = ROOT / "fixtures/guests/x86/oracle/oracle.elf"
RAM_BYTES = 128 << 20
WINDOW, STUB = 0x200000, 0x201000
MAILBOX, REQUESTS, REQUEST_BYTES = 0x300000, 0x301000, 64
DOORBELL, DONE, COUNT, LEVELS, STUB_VA, IDENTITY, REGISTERS, READ_BACK = 8, 0x10, 0x18, 0x20, 0x28, 0x40, 0x100, 0x200
MOST_REQUESTS = 4000
TABLES, TABLES_BYTES = 0x1000000, 32 << 20
DATA, DATA_BYTES = 0x4000000, 4 << 20
SLOT_BYTES = 16
"""Of data: `mov $word, %eax`, an undefined instruction, and what nobody executes: a store goes there."""
INTO_SLOT = {0: 1, 1: 8, 2: 0}
"""Where in a slot an operation goes, by its number without who asks."""
REGISTER_NAMES = ("cr0", "cr3", "cr4", "efer", "pkru", "pkrs")
IDENTITY_NAMES = ("sizes", "features_b", "features_c", "features_1a", "extended_d")
NOTHING_RAISED = (1 << 64) - 1
PGE, SMEP, SMAP, PKE, PKS = 1 << 7, 1 << 20, 1 << 21, 1 << 22, 1 << 24
AC = 1 << 18


class Operation(enum.IntEnum):
    """What the guest may be asked; the numbers are oracle.S's."""

    LOAD = 0
    STORE = 1
    JUMP = 2
    USER_LOAD = 4
    USER_STORE = 5
    USER_JUMP = 6

    @property
    def is_user(self) -> bool:
        return self >= Operation.USER_LOAD

    @property
    def is_write(self) -> bool:
        return self in (Operation.STORE, Operation.USER_STORE)

    @property
    def is_fetch(self) -> bool:
        return self in (Operation.JUMP, Operation.USER_JUMP)


@dataclass(frozen=True)
class Request:
    """One access: an address, how it is touched, and RFLAGS with AC or without."""

    va: int
    operation: Operation
    rflags: int = 2


@dataclass(frozen=True)
class Abilities:
    """What a CPU can do: bits of a physical address, bits of cr4, and pages of 1 GiB."""

    physical_bits: int
    controls: int = PGE | SMEP | SMAP | PKE | PKS
    pages_1g: bool = True


def no_kvm() -> str:
    """Return why KVM is no second witness on this machine; empty where it is one."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError as missing:
        return f"/dev/kvm: {missing.strerror}"
    switches = ("/sys/module/kvm_amd/parameters/npt", "/sys/module/kvm_intel/parameters/ept")
    if any(Path(each).exists() and Path(each).read_text().strip() in ("Y", "1") for each in switches):
        return ""
    return (
        "/dev/kvm is there and has neither AMD's nested paging nor Intel's EPT: it walks the tables itself and keeps "
        "shadows of them, which do not see what another process writes"
    )


@dataclass(frozen=True)
class Answer:
    """`vector` is None where nothing was raised; `value` is what was loaded, or told by what was fetched."""

    vector: int | None
    error: int
    cr2: int
    rip: int
    value: int


def word_at(pa: int) -> int:
    """Return what is loaded one byte into the slot at `pa`: where that is."""
    return 0xD0000000 | (pa - DATA) // SLOT_BYTES


def slot(pa: int) -> bytes:
    return b"\xb8" + word_at(pa).to_bytes(4, "little") + b"\x0f\x0b" + b"\x90" * 9


class Mailbox(SharedRam):
    """A guest that is asked through its RAM, a batch of requests at a time."""

    ram_base = 0
    ram_bytes = RAM_BYTES
    _layout: ClassVar[struct.Struct] = struct.Struct("<8Q")

    def __init__(self, qemu: Qemu, levels: int, version: str = "") -> None:
        self.qemu = qemu
        self.levels = levels
        self.version = version or ".".join(qemu.version.split(".")[:2])

    def come_up(self, shape: Sequence[str], image: Path) -> None:
        """Start QEMU and wait for the guest."""
        self.start(self.qemu.command, ["-M", "pc", *shape, "-no-reboot"], image)
        self.wait(lambda: self.read(MAILBOX, 8) == b"x86walks", "the guest did not come up", nap=0.01)
        # Once and never again: TCG does not see code that is written from outside.
        self.write(DATA, b"".join(slot(pa) for pa in range(DATA, DATA + DATA_BYTES, SLOT_BYTES)))
        self._sequence = 0

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def physical_bits(self) -> int:
        return self.word(MAILBOX + IDENTITY) & 0xFF

    def put(self, place: int, *values: int) -> None:
        """Write words into the mailbox."""
        self.write(MAILBOX + place, struct.pack(f"<{len(values)}Q", *values))

    def answers(self, requests: Sequence[Request], stub_va: int) -> Iterator[tuple[int, ...]]:
        """Put a batch of requests to the guest; yield what it has written for each, behind the request."""
        for first in range(0, len(requests), MOST_REQUESTS):
            batch = requests[first : first + MOST_REQUESTS]
            self.put(COUNT, len(batch))
            self.put(STUB_VA, stub_va)
            self.write(REQUESTS, b"".join(self._layout.pack(r.va, r.operation, r.rflags, *[0] * 5) for r in batch))
            self._sequence += 1
            self.put(DOORBELL, self._sequence)
            self.wait(lambda: self.word(MAILBOX + DONE) == self._sequence, "the guest does not answer", nap=0.0002)
            raw = self.read(REQUESTS, len(batch) * REQUEST_BYTES)
            yield from (rest for _, _, _, *rest in self._layout.iter_unpack(raw))


class X86Oracle(Mailbox):
    """A running oracle guest in 4-level or 5-level paging; leave the `with` block and it is gone."""

    def __init__(self, qemu: Qemu, levels: int, by_kvm: bool = False) -> None:
        self.by_kvm = by_kvm
        # Of KVM no departure is known, whichever QEMU asks it.
        super().__init__(qemu, levels, "KVM" if by_kvm else "")

    def __enter__(self) -> X86Oracle:
        self.come_up(["-cpu", "host", "-accel", "kvm"] if self.by_kvm else ["-cpu", "max"], IMAGE)
        self.identity = {name: self.word(MAILBOX + IDENTITY + 8 * at) for at, name in enumerate(IDENTITY_NAMES)}
        self.put(LEVELS, self.levels if self.has_levels else 4)
        return self

    @property
    def has_levels(self) -> bool:
        """Whether the CPU has as many as are wanted."""
        return self.levels == 4 or bool(self.identity["features_c"] >> 16 & 1)

    @property
    def abilities(self) -> Abilities:
        """What may be drawn for this CPU."""
        wide, narrow = self.identity["features_b"], self.identity["features_c"]
        has = ((wide >> 7, SMEP), (wide >> 20, SMAP), (narrow >> 3, PKE), (narrow >> 31, PKS))
        # What a TLB holds as global outlives a load of cr3, and tables that another process writes.
        controls = sum(bit for present, bit in has if present & 1) | (0 if self.by_kvm else PGE)
        return Abilities(self.physical_bits, controls, bool(self.identity["extended_d"] >> 26 & 1))

    def ask(self, registers: Mapping[str, int], requests: Sequence[Request], stub_va: int) -> list[Answer]:
        """Put a batch of requests to the hardware under these registers."""
        self.put(REGISTERS, *(registers.get(name, 0) for name in REGISTER_NAMES))
        return [
            Answer(None if vector == NOTHING_RAISED else vector, *rest)
            for vector, *rest in self.answers(requests, stub_va)
        ]

    def registers(self) -> dict[str, int]:
        """Return the registers as they read after they were written last; keys are not read."""
        return {name: self.word(MAILBOX + READ_BACK + 8 * at) for at, name in enumerate(REGISTER_NAMES[:4])}
